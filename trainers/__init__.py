"""How a headed model is learned: the trainer, its losses, its samplers."""

from trainers.head_trainer import HeadTrainer

__all__ = ["HeadTrainer"]
