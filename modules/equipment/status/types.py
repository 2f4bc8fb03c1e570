"""Types of what a machine's time adds up to."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import strawberry
from strawberry import UNSET

from modules.equipment.types import Machine
from schema.context import Info
from schema.ids import key

from .rules import MachineStatus
from .utilization import Times, together


@strawberry.input(one_of=True, description="Whose time is added up: exactly one machine or plant")
class MachineUtilizationBy:
    machine: strawberry.ID | None = strawberry.field(description="One machine", default=UNSET)
    plant: strawberry.ID | None = strawberry.field(
        description="Every machine of a plant the caller may see", default=UNSET
    )

    def keys(self) -> tuple[int | None, int | None]:
        """The key of the machine, and of the plant."""
        if self.machine is not UNSET:
            return key("Machine", str(self.machine), "by.machine"), None
        return None, key("Plant", str(self.plant), "by.plant")


@strawberry.type(description="Time in one status")
class StatusTime:
    status: MachineStatus = strawberry.field(description="The status")
    seconds: Decimal = strawberry.field(description="Exact seconds in it inside the window")


@strawberry.type(description="What time adds up to, in seconds; the ratio of a sum is never a mean of ratios")
class TimeInStatus:
    statuses: list[StatusTime] = strawberry.field(
        description="Seconds per status that occurred, DECOMMISSIONED included"
    )
    running_seconds: Decimal = strawberry.field(description="Seconds RUNNING")
    in_service_seconds: Decimal = strawberry.field(description="Seconds in any status but DECOMMISSIONED")
    ratio: Decimal | None = strawberry.field(
        description="Running over in-service seconds, 0 to 1 with 6 decimal places; null without in-service time"
    )

    @classmethod
    def of(cls, times: Times) -> "TimeInStatus":
        return cls(
            statuses=[StatusTime(status=s, seconds=times.seconds[s]) for s in MachineStatus if s in times.seconds],
            running_seconds=times.running,
            in_service_seconds=times.in_service,
            ratio=times.ratio,
        )


@strawberry.type(description="Time of one machine inside a window")
class MachineTime:
    _machine: strawberry.Private[int]
    time: TimeInStatus = strawberry.field(description="What its time adds up to")

    @strawberry.field(description="The machine")
    async def machine(self, info: Info) -> Machine | None:
        found: Machine | None = await info.context.loaders.one(Machine).load(self._machine)
        return found


@strawberry.type(description="Time of machines inside a window; an open period ends now, or with the window")
class Utilization:
    start: datetime = strawberry.field(name="from", description="Start of the window, inclusive")
    end: datetime = strawberry.field(name="to", description="End of the window, exclusive")
    total: TimeInStatus = strawberry.field(description="All machines together: seconds are added")
    machines: list[MachineTime] = strawberry.field(description="Each machine that has time in the window, by code")

    @classmethod
    def of(cls, start: datetime, end: datetime, times: Mapping[int, Times]) -> "Utilization":
        return cls(
            start=start,
            end=end,
            total=TimeInStatus.of(together(list(times.values()))),
            machines=[MachineTime(_machine=machine, time=TimeInStatus.of(time)) for machine, time in times.items()],
        )
