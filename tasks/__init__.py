"""What is learned. A named task is a declaration; the kinds of task hold the logic."""

from tasks.base import Task
from tasks.nsmc import NSMC

TASKS: dict[str, Task] = {task.name: task for task in (NSMC,)}

__all__ = ["TASKS", "Task"]
