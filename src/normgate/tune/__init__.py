"""Studies over any family's weights, judged by what the weights can't touch. Optuna.

    space      what is searched, and within which ranges
    goal       what judges: weight-free objectives, or one frozen desirability
    pins       what a study was begun with, and must be resumed with
    effects    the test for weights that change nothing, before the first trial
    storage    a study in SQLite or PostgreSQL: created, resumed, forked
    slots      which trial stands for which of the trials that were asked for
    watch      pruning, on weight-free metrics and red vitals
    worker     runs trials until all are settled; any process or executor may start it
    seeds      the best again with other seeds, and whether that is a gain
    analysis   front, importances, correlations, table;  figures, report  show them

Families are known by their port alone (`engine.tunable`), tracking by the port
`worker.Recorder`.
"""
