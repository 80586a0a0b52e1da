"""What two services need: schemas, steps, recipes, store, plan, run, worker."""
