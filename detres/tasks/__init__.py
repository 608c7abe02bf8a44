"""From a config to a training, a dry run or an evaluation, whatever the task."""
