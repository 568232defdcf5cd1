"""A crew in this very process, for tests: whatever goes to a worker or comes back is pickled."""

import importlib
import pickle
from dataclasses import dataclass, field

from adapters.torch.trials import maker

from stepsize.adapters.torch.elsewhere import arms
from stepsize.engines import Outcome
from stepsize.tasks import LoadedTask, load


@dataclass(frozen=True)
class Sent:
    """A task as it is sent: the names of its parts in the zoo, or a built-in task."""

    parts: tuple = ()
    builtin: str = ""
    name: str = "mine"

    @classmethod
    def of(cls, **parts):
        return cls(tuple(parts.items()))

    def load(self):
        return load(self.builtin) if self.builtin else LoadedTask("mine", maker(**dict(self.parts)))


@dataclass
class Desks:
    """Workers with trainers of their own, each given the next call; the last call ends first.

    ``lose``: numbers of calls, counted from 0, that are lost after they were carried out.
    ``interrupt_at``: number of the call in whose place Ctrl-C comes.
    """

    workers: int = 2
    lose: tuple = ()
    interrupt_at: int | None = None
    waiting: dict = field(default_factory=dict)
    names: list = field(default_factory=list)
    sizes: list = field(default_factory=list)
    done: int = 0
    most: int = 0
    name: str = "desks"
    shares_files: bool = True

    def __post_init__(self):
        self.trainers = [{} for _ in range(self.workers)]

    def submit(self, call, hear=None):
        self.names.append(call.function.partition(":")[2])
        self.waiting[len(self.names)] = pickle.dumps(call)
        return len(self.names)

    def wait(self, seconds=None):
        self.most = max(self.most, len(self.waiting))
        ticket, sent = self.waiting.popitem()
        number, self.done = self.done, self.done + 1
        if number == self.interrupt_at:
            raise KeyboardInterrupt
        try:
            value = self._carried_out(self.trainers[number % self.workers], pickle.loads(sent))
        except Exception as error:  # noqa: BLE001 - a worker hands on whatever was raised
            return [Outcome(ticket, error=pickle.loads(pickle.dumps(error)))]
        if number in self.lose:
            self.trainers[number % self.workers].clear()
            return [Outcome(ticket, lost="its process was killed")]
        content = pickle.dumps(value)
        self.sizes.append(len(content))
        return [Outcome(ticket, value=pickle.loads(content))]

    def _carried_out(self, trainers, call):
        """In a worker with these trainers."""
        module, _, name = call.function.partition(":")
        kept, arms._trainers = arms._trainers, trainers
        try:
            return getattr(importlib.import_module(module), name)(*call.arguments)
        finally:
            arms._trainers = kept

    def interrupt(self):
        self.waiting.clear()

    def close(self):
        self.waiting.clear()
        for trainers in self.trainers:
            while trainers:
                trainers.popitem()[1].close()
