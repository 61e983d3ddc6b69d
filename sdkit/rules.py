"""One code a rule that a value in a file, or of an option, breaks: cause and cure."""

from __future__ import annotations

from .codes import Code

RULES: dict[str, Code] = {
    "R440": Code(
        "Files beside the model name several things that it, or another of these files, does not "
        "have: variables, constants, series, policies, outputs and the like.",
        "Correct each entry that is listed; after a variable was renamed, all that name it have "
        "to follow.",
    ),
    "R441": Code(
        "A key holds a word that it cannot hold.",
        "Use one of the words that the message lists, or docs/how-to.md and docs/checks.md.",
    ),
    "R442": Code(
        "A number is infinite, no number (nan), or of more digits than a computer holds.",
        "Write a finite number.",
    ),
    "R443": Code(
        "A number lies outside the range that its key allows.",
        "The message says what the number has to be.",
    ),
    "R444": Code(
        "A seed is no whole number from zero up.",
        "Write a whole number from zero up, such as 1.",
    ),
    "R445": Code(
        "The number of draws, runs or portfolios is no power of two within its limits.",
        "Use a power of two, such as 64 or 1024: points are balanced for these only.",
    ),
    "R446": Code(
        "The number of walkers is odd.",
        "Write an even number: an ensemble moves by halves.",
    ),
    "R447": Code(
        "The draws need more memory than the machine has.",
        "Ask for fewer draws (n in run.toml, or --draws), or name fewer outputs.",
    ),
    "R448": Code(
        "posterior.csv holds fewer draws than are asked for.",
        "Ask for fewer draws (n in run.toml, or --draws), or raise draws of the fit and carry it "
        "out again.",
    ),
    "R449": Code(
        'Draws from "defaults" are one, and more are asked for.',
        'Leave n and --draws out, or draw from "priors" or "posterior".',
    ),
    "R450": Code(
        "Nothing varies, where a study needs constants that do.",
        'Draw from "priors" or "posterior", and give constants a prior in parameters.csv; what '
        "--set or the scenario holds does not vary.",
    ),
    "R451": Code(
        "The model's run does not cover the whole years of the horizon.",
        "Choose a horizon inside the model's time, or change INITIAL TIME, FINAL TIME or TIME STEP "
        "of the model so that years begin on a step.",
    ),
    "R452": Code(
        "A horizon is no span of years.",
        "Write the first and the last year, from 0 to 999999, the first not after the last.",
    ),
    "R453": Code(
        "A period or a time is none of the horizon's.",
        'Write a year such as "2030", a span such as "2026-2030" or "horizon", inside the horizon; '
        "in claims.toml, inside the model's time.",
    ),
    "R454": Code(
        "A list or a table is empty that has to hold something.",
        "Name at least one thing, or leave the key out where it may be left out.",
    ),
    "R455": Code(
        "A key stands without another that it needs.",
        "Add the key that the message names, or delete the first.",
    ),
    "R456": Code(
        "Two keys, or two uses of one name, exclude each other.",
        "Keep one of the two.",
    ),
    "R457": Code(
        "Of the keys above and below one is needed, and one only.",
        "Write either above or below.",
    ),
    "R458": Code(
        "A name stands for something that cannot play this role: a table where a variable, another "
        "variable where a stock, or another constant where a switch or one with a prior is needed.",
        "Name something of the kind that the message asks for, or change the role of the constant "
        "in parameters.csv.",
    ),
    "R459": Code(
        "An output has no direction that is better, and the question needs one.",
        'Name another output, or write better = "lower" or "higher" in outputs.toml.',
    ),
    "R460": Code(
        "A key names something that this run leaves out.",
        "Add the name to the list that the message speaks of, or drop it here.",
    ),
    "R461": Code(
        "A study is of one scenario, and run.toml names several.",
        "Keep one in scenarios, and make a run folder for each other.",
    ),
    "R462": Code(
        "A search for portfolios has too few or too many policies.",
        "Name the baseline first, and then two to ten instruments.",
    ),
    "R463": Code(
        "The stages of an order do not name each instrument once.",
        "Name each instrument of policies in one stage; several may share a stage.",
    ),
    "R464": Code(
        "Two policies of a portfolio set the same lever, so that their effects cannot be told "
        "apart.",
        "Give each instrument levers of its own in policies.toml.",
    ),
    "R465": Code(
        "An instrument sets no lever.",
        "Give the policy values in policies.toml, or leave it out.",
    ),
    "R466": Code(
        "Delays and orders need a lever that says when another begins, and the model has none.",
        'Add a lever "X start" for each "X strength", or leave delays and orders out.',
    ),
    "R467": Code(
        "A delay moves the start of a lever beyond the range that parameters.csv gives it.",
        "Write shorter delays, or widen the range of the lever.",
    ),
    "R468": Code(
        "A series has no observation in the years, or at the time, that are asked for.",
        "Choose years that the series in data/ covers.",
    ),
    "R469": Code(
        "The density of a measurement does not fit its observations.",
        "Use another density: lognormal needs values above zero, negative binomial whole numbers, "
        "and only normal and lognormal residuals can be correlated.",
    ),
    "R470": Code(
        "Two numbers stand in the wrong order.",
        "Write the smaller or the earlier one first.",
    ),
    "R471": Code(
        "One variable has two outputs of which one is averaged and the other read at an end.",
        "Use the same kind of reduction for both, or define a second variable in the model.",
    ),
    "R472": Code(
        "A policy is compared with itself.",
        "Name another policy than the first, which is the baseline.",
    ),
    "R473": Code(
        "--draws is given for a fit, which has no trial.",
        "Leave the option out, or copy the run folder and lower draws and effort in its run.toml.",
    ),
    "R474": Code(
        "A relative change is asked for of an output that is nothing under the baseline.",
        'Ask for the level, of = "level", or for another output.',
    ),
    "R475": Code(
        "No input moves an output that the study is about.",
        "Name other outputs or policies, or let more constants vary.",
    ),
    "R476": Code(
        "Two lists that belong together are not of one length.",
        "Write one value for each time.",
    ),
    "R477": Code(
        "A constant is held by the run or by --set, so that it can neither vary nor be fitted.",
        "Delete it from set or from the option, or do not ask for it.",
    ),
    "R478": Code(
        "There is nothing to fit: no constant has the role fitted.",
        "Give constants the role fitted in parameters.csv, or name uncertain ones in also.",
    ),
    "R479": Code(
        "A series has observations at times that the model does not run through.",
        "Limit the measurement by from and to in measurements.toml, or let the model run longer.",
    ),
    "R480": Code(
        "A key belongs to a method that is not asked for.",
        "Add the method to methods, or delete the key.",
    ),
    "R481": Code(
        "A search would use more draws than the run has.",
        "Lower search_draws, or raise n of draws (or --draws).",
    ),
}
