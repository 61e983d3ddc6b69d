def write_report(comparison, out):
    from .plot import write_figures
    write_figures(comparison, out/"figures")
