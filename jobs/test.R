# Says who runs it: the executor's id, the symbol it was given, the time.
print(Sys.getenv("EXECUTOR_ID"))
print(Sys.getenv("SYMBOL"))
print(format(Sys.time(), "%Y-%m-%d %H:%M:%S %Z"))
