"""Codes of models, parameters, simulations and run folders: cause and cure of each.

`errors.py` joins them with those of `rules.py` and its own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Code:
    """One row of the table of codes: what went wrong in general, and what to do."""

    cause: str
    cure: str


MODEL_CODES: dict[str, Code] = {
    # -- M1: reading a model ---------------------------------------------------------
    "M101": Code(
        "There is no model at this path.",
        "Give the path of a .mdl or XMILE file, or of a folder that holds exactly one.",
    ),
    "M102": Code(
        "The model file is empty.",
        "Save the model again from the tool that you edit it with, or restore it from version "
        "control.",
    ),
    "M103": Code(
        "The model file is not text: it holds bytes that no text has.",
        "Save the model in its text format (.mdl or XMILE, not a binary one).",
    ),
    "M104": Code(
        "An equation cannot be parsed.",
        "Look at the line that is named: an unbalanced parenthesis, a missing operator or a "
        "missing '~' before the unit is the usual cause.",
    ),
    "M105": Code(
        "An equation uses a name that the model does not define.",
        "Correct the spelling, or add an equation for the name.",
    ),
    "M106": Code(
        "Variables define each other in a circle without a stock or a delay between them.",
        "Break the circle: one of the variables named has to be a stock, or has to depend on a "
        "delayed or smoothed value.",
    ),
    "M107": Code(
        "One name is defined twice. Upper and lower case, spaces and underscores do not tell "
        "names apart.",
        "Delete or rename one of the two definitions.",
    ),
    "M108": Code(
        "The model file is cut off: its end is missing.",
        "Restore the file from version control, or save it again. A .mdl written by hand needs no "
        "sketch if its time settings (INITIAL TIME and so on) stand last.",
    ),
    "M109": Code(
        "The model uses a construct that this version does not compile.",
        "Rewrite the equation without the construct; docs/language.md lists what is compiled. "
        "Where PySD runs the file, the message says so.",
    ),
    "M110": Code(
        "An equation or a file is nested too deeply to be read.",
        "Split the equation into several variables.",
    ),
    "M111": Code(
        "The text of a number, a range or a table is not what the language allows.",
        "Write plain numbers only, for instance [0,100] or (1,2).",
    ),
    "M112": Code(
        "A table (lookup) is malformed: it needs two points or more and no repeated x.",
        "Correct the points of the table that is named.",
    ),
    "M113": Code(
        "The time settings, or the order of a delay, cannot be used: INITIAL TIME, FINAL TIME, "
        "TIME STEP and SAVEPER must be finite, TIME STEP and SAVEPER above zero, FINAL TIME not "
        "before INITIAL TIME, and SAVEPER a multiple of TIME STEP; a run has at most ten million "
        "steps.",
        "Correct the control variables of the model, or write the order as a number.",
    ),
    "M114": Code(
        "A function is called with the wrong number of arguments.",
        "Look the function up in docs/language.md and correct the call.",
    ),
    "M115": Code(
        "The model names an integration method that is not compiled.",
        'Choose Euler or fixed-step RK4 in the model\'s settings, or give method="euler" or '
        'method="rk4".',
    ),
    "M116": Code(
        "PySD could not run the model.",
        "Use the compiled engine, which refuses by name what it does not compile.",
    ),
    "M117": Code(
        "The XMILE file is not well-formed XML, or holds no model.",
        "Save the model again from the tool that you edit it with.",
    ),
    "M118": Code(
        "pysimlin could not run the model.",
        "Use the compiled engine, which refuses by name what it does not compile.",
    ),
    "M119": Code(
        "A table, a series or a number that stands in a file beside the model cannot be read.",
        "Look at the file, the sheet and the cells that the message names. A data variable without "
        "an equation needs a file of series: read_model(path, data=file), or model_data.csv beside "
        "model.mdl.",
    ),
    "M120": Code(
        "Subscripts do not fit: a range or an element that is not there, a range on the right side "
        "that is neither on the left nor mapped to it, or a list of another length than its range.",
        "Compare the subscripts of the equation that is named with the ranges of the model.",
    ),
    "M121": Code(
        "An element of an XMILE file may change the numbers and is not understood.",
        "Look at the line that is named. Take the element out in the tool that wrote the file, or "
        "write its meaning into the equation.",
    ),
    "M122": Code(
        "The outflows of a stock that may not fall below zero cannot be held back in the order in "
        "which the stock lists them, since an earlier one reads a later one.",
        "List the outflow that is read before the one that reads it.",
    ),
    "M126": Code(
        "An equation uses a string variable (name :IS: 'text') as a number.",
        "Use the name where a text is wanted, as the file of GET DIRECT DATA is, or give the "
        "variable a number.",
    ),
    "M132": Code(
        "A model, or a file that it names, asks for more than the limits allow.",
        "Make it smaller or split it: the message names the limit, docs/language.md lists them "
        "all.",
    ),
    "M133": Code(
        "A model names a file outside its own folder.",
        "Move the file beside the model. If you trust the model, allow the folder by name: "
        'tables = ["FOLDER"] in run.toml, sdkit --tables FOLDER COMMAND, '
        "read_model(path, folders=[FOLDER]) in Python.",
    ),
    "M134": Code(
        "A file that a model names is none that is read: a device, a pipe, a folder, or a "
        "workbook whose size cannot be known before it is unpacked.",
        "Give an ordinary file; save a workbook as .xlsx.",
    ),
    "M135": Code(
        "A run saves more numbers than the limits allow.",
        "Choose a larger SAVEPER or an earlier FINAL TIME, or ask an ensemble for the outputs and "
        "times that you need; docs/language.md lists the limits.",
    ),
    # -- S: simulation ---------------------------------------------------------------
    "S201": Code(
        "A value became NaN or infinite during a run.",
        "The message names variable, time and parameters. Guard the division, logarithm or power, "
        "correct the parameter value, or try a smaller TIME STEP.",
    ),
    "S202": Code(
        "Some lanes of an ensemble failed; the results of the previous run were kept.",
        "out/failed.csv of a run folder, and the exception's `failures` in Python, list draw, "
        "time, variable and parameters of each. Narrow the prior that is at fault, or guard the "
        "equation.",
    ),
    "S203": Code(
        "The model has no variable of this name.",
        "Use a name as it stands in the model; `sdkit run MODEL` writes them all.",
    ),
    "S204": Code(
        "A time is outside the run or not on a step.",
        "Choose times from INITIAL TIME to FINAL TIME, whole numbers of steps after the first.",
    ),
    "S205": Code(
        "The integration method is unknown.",
        'Use "euler" or "rk4".',
    ),
    "S207": Code(
        "The engine is unknown, or cannot do what is asked.",
        'Use "compiled", or "pysd" for single runs at the model\'s own step.',
    ),
    "S206": Code(
        "PySD integrates by Euler only.",
        'Give method="euler", or use the compiled engine.',
    ),
    "S208": Code(
        "A measure asks for what cannot be measured.",
        "Use one of the kinds and densities that are listed, one observation for each window, and "
        "spreads above zero.",
    ),
    "S209": Code(
        "An experiment is not put together as it has to be.",
        "Scenarios and policies are Settings of different names, outputs names of variables, times "
        "numbers, draws a table of numbers or Draws; none of them but outputs and times is empty.",
    ),
    "S210": Code(
        "PySD ran the model and gave no value of a variable, or one of other dimensions.",
        "Use the compiled engine, or write the equation that is named without ranges that are "
        "mapped to one another.",
    ),
    "S213": Code(
        "A function is given something else than a model.",
        'Give read_model("models/sir"), compile_model of that, or a path such as "models/sir".',
    ),
    # -- P: parameters ---------------------------------------------------------------
    "P301": Code(
        "A constant of the model has no row in parameters.csv.",
        "Add a row with its role, or delete the constant from the model.",
    ),
    "P302": Code(
        "parameters.csv names something that is no constant of the model.",
        "Delete the row, or correct its spelling. Time settings and lookups are no parameters.",
    ),
    "P303": Code(
        "A prior or a default lies outside its bounds.",
        "Keep low and high inside the [min,max] of the .mdl and the default between low and high.",
    ),
    "P304": Code(
        "A row of parameters.csv is wrong.",
        "Roles are fixed, fitted, uncertain, structural and lever; distributions are uniform, "
        "loguniform, normal, lognormal, triangular and choice.",
    ),
    "P305": Code(
        "A value is given to something that is no constant of the model.",
        "Only constants (a name that equals one number) can be set; change the equation for the "
        "rest.",
    ),
    "P306": Code(
        "A policy sets a constant that is no lever.",
        "Give the constant the role lever in parameters.csv, or set it in a scenario.",
    ),
    "P307": Code(
        "A scenario sets a lever.",
        "Levers belong to policies; set the constant in policies.toml.",
    ),
    "P308": Code(
        "A value lies outside the bounds that the model gives for it.",
        "Choose a value inside the [min,max] of the .mdl, or change the bounds.",
    ),
    "P309": Code(
        "A constant fixes the size of the compiled model (the order of a delay), or sets the time "
        "of the run, which is one for all lanes.",
        "Change the order of a delay in the model's text. A time setting can be given for a whole "
        "run: simulate(program, set={...}).",
    ),
    "P310": Code(
        "posterior.csv beside the model does not fit its parameters.",
        "Carry out the run that fits the model again (its name stands in the first line of the "
        "file), or let draws come from the priors.",
    ),
    "P311": Code(
        "Two values are given for one constant: names are compared without regard to case, blanks, "
        "underscores and quotes, and an array by its name stands for all of its elements.",
        "Keep one of the two.",
    ),
    "P314": Code(
        "posterior.csv does not say where it comes from, so nothing tells whether it was changed.",
        "Carry out the fit again (sdkit run runs/NAME, with posterior = true). Where it was made "
        "elsewhere, write '# unverified: ' and who made it, and from what, as its first line; its "
        "results then say so.",
    ),
    "P315": Code(
        "posterior.csv was changed after the fit that wrote it: its checksum is another.",
        "Restore the file from version control, or carry out the fit that its first line names "
        "again (sdkit run).",
    ),
    "P316": Code(
        "All draws of posterior.csv are the same, so it is one point and no distribution.",
        "Carry out the fit again (sdkit run). For a run of one point take draws from "
        '"defaults", or --set values.',
    ),
}

RUN_CODES: dict[str, Code] = {
    # -- R: run folders, settings and data files ----------------------------------------
    "R401": Code(
        "There is no run folder at this path: it does not exist or holds no run.toml.",
        "Give a folder under runs/ that holds a run.toml, or a model.",
    ),
    "R402": Code(
        "A file that is needed is missing or cannot be read.",
        "Restore the file, or correct the path that names it.",
    ),
    "R403": Code(
        "A file is empty.",
        "Restore the file from version control, or write what it is for.",
    ),
    "R404": Code(
        "A file is not text in UTF-8.",
        "Save it as UTF-8 text (in a spreadsheet: CSV UTF-8).",
    ),
    "R405": Code(
        "A TOML file is malformed.",
        "Look at the line and column that are named: a missing quote, bracket or equals sign "
        "is the usual cause.",
    ),
    "R406": Code(
        "A CSV file is malformed: a column is missing, a row has more or fewer cells than the "
        "header, or a cell is no number.",
        "Correct the line that is named; put quotes around a cell that holds a comma.",
    ),
    "R407": Code(
        "A file holds a key that nobody reads.",
        "Correct its spelling, or delete it; the message lists the keys that are known.",
    ),
    "R408": Code(
        "A key that is needed is missing.",
        "Add the key that is named.",
    ),
    "R409": Code(
        "A value has the wrong type.",
        "Write text in quotes, numbers without quotes, lists in brackets.",
    ),
    "R411": Code(
        "A scenario, policy, output, setting or series is named that its file does not hold.",
        "Correct the spelling, or add the table to scenarios.toml, policies.toml, outputs.toml or "
        "checks.toml of the model (a series: to its data folder).",
    ),
    "R412": Code(
        "One name stands twice.",
        "Delete or rename one of the two.",
    ),
    "R413": Code(
        "The model of a run cannot be found.",
        "`model` in run.toml is relative to the nearest parent folder that holds a folder "
        'models, for instance "models/sir".',
    ),
    "R414": Code(
        "The folder or file is no store of an ensemble.",
        "Give a path where nothing is yet, or the folder that an ensemble was written to; nothing "
        "is overwritten.",
    ),
    "R415": Code(
        "The store holds another ensemble: model, settings, draws or versions differ.",
        "Choose another path, or move or delete the store; nothing is overwritten. To go on with "
        "it, give the command and the files that it was begun with.",
    ),
    "R416": Code(
        "A store is not complete, or a chunk of it is missing or damaged.",
        "Give the command that began it once more: it makes what is missing or damaged and leaves "
        "the rest.",
    ),
    "R417": Code(
        "Another process is writing to the store.",
        "Wait until it has ended, or end it; the store then goes on where it stopped.",
    ),
    "R418": Code(
        "The disk that a store is written to is full, or a quota or a limit on file size is "
        "reached.",
        "Make room on it, or lift the limit; the same command then goes on where it stopped.",
    ),
    "R419": Code(
        "A series is in another unit than the variable that it is compared with.",
        "Compare it with a variable in its unit, or convert its values; a unit that is only spelt "
        "otherwise is spelt as in the model.",
    ),
    "R420": Code(
        "A method needs inputs that are independent, and these depend on one another.",
        'Draw from "priors", or choose a method that takes them: the message names some.',
    ),
    "R421": Code(
        "A sample is too small for what is asked of it.",
        "Raise n of draws in run.toml, or --draws, to the next power of two above the number that "
        "is named.",
    ),
    "R422": Code(
        "No portfolio can meet the limit: it is exceeded without any instrument.",
        "Raise the limit in run.toml, or limit another output.",
    ),
    "R423": Code(
        "A TOML or CSV file asks for more than the limits allow.",
        "Make it smaller or split it: the message names the limit, docs/language.md lists them "
        "all.",
    ),
    "R424": Code(
        "A file is no ordinary file, but a device or a pipe.",
        "Give an ordinary file.",
    ),
    "R425": Code(
        "A folder of tables that is allowed by name does not exist.",
        "Correct `tables` in run.toml (relative to the folder that holds models/) or --tables.",
    ),
    "R426": Code(
        "A file in a folder data is a link to a place outside the folder that holds data.",
        "Copy the file into the folder in place of the link.",
    ),
    "R427": Code(
        "Another process is carrying out this run, or writes its results to the same folder.",
        "Wait until it has ended, or end it; or give other results a folder of their own (--out).",
    ),
    "R431": Code(
        "A reduction by years or months of the calendar, in a model whose time is not in years.",
        'Use reduction = "point", or give the model a time in years. If its time is in years '
        "already, give TIME STEP and the other time settings the unit Year.",
    ),
    "R432": Code(
        "The unit or the name of an output contradicts its variable and its reduction.",
        "A sum over time needs a rate in the model's own unit of time, and the unit of an amount "
        "(people from people/day); a mean or a last value has the unit of the variable. Correct "
        "unit, reduction or name in outputs.toml, or the unit in the model.",
    ),
}
