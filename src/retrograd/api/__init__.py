"""The front door: `train`, `load`, `Run`, and estimators with scikit-learn's contract.

Nothing is computed here. `retrograd` itself gives these names, loaded when they are asked for.
"""
