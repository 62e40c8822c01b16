"""What is learned. A named task is a declaration; the kinds of task hold the logic."""

from tasks.base import Task
from tasks.nsmc import NSMC
from tasks.reviews import REVIEWS

TASKS: dict[str, Task] = {task.name: task for task in (NSMC, REVIEWS)}

__all__ = ["TASKS", "Task"]
