"""Random selections of the payloads of one, two or three mutations: both executors say the same after each."""

from __future__ import annotations

import random
import sys
from collections import Counter

from graphql import parse, print_ast, validate

from db.session import Database
from schema.ids import encode
from tests.modules.production.shop import Shop
from tests.plans.documents import Document, Writer
from tests.plans.posting import planned
from tests.plans.test_equivalence import MANY
from tests.support import House, Tenant

INPUTS = {
    "productionLogRecord": '{{operationId: "{operation}", kind: REPORT, good: "{amount}", idempotencyKey: "{key}"}}',
    "scrapReasonCreate": '{{code: "{key}", name: "N", category: HANDLING}}',
    "plantUpdate": '{{id: "{plant}", expectedVersion: {amount}, name: "N {key}"}}',
}


def written(house: House, ids: dict[str, list[str]], seed: int, keys: str) -> Document:
    rng = random.Random(f"payloads:{seed}")
    given = {"operation": ids["WorkOrderOperation"][0], "plant": ids["Plant"][0]}
    asked = [
        (name, INPUTS[name].format(**given, key=f"{keys}-{seed}-{n}", amount=rng.choice([1] * 9 + [10**9])))
        for n, name in enumerate(rng.choices(list(INPUTS), weights=[6, 2, 1], k=rng.choice([1, 1, 2, 3])))
    ]
    return Writer(house.schema._schema, ids, rng).mutations(asked)


async def test_the_same_bytes(database: Database, house: House, tenant: Tenant) -> None:
    shop, counted = Shop(database, tenant), Counter[str]()
    operation = (await shop.operations(await shop.order(2, ordered=100_000)))[0]
    await shop.report(operation, good=1)
    ids = {
        "WorkOrderOperation": [encode("WorkOrderOperation", operation.id)],
        "WorkOrder": [encode("WorkOrder", operation.work_order_id)],
        "Plant": [encode("Plant", plant) for plant in tenant.plants],
    }
    for seed in range(MANY // 8):
        document = written(house, ids, seed, "compared")
        if validate(house.schema._schema, parse(document.text)):
            counted["invalid"] += 1
            continue
        try:
            await house.ask(shop.actor, document.text, document.variables)
        except AssertionError as error:
            raise AssertionError(seed, print_ast(parse(document.text)), document.variables) from error
        again = written(house, ids, seed, "counted")
        answered, _ = await planned(house, shop.actor, again.text, **again.variables)
        counted["left" if answered is None else "completed" if answered.left else "planned"] += 1
    sys.stdout.write(f"{dict(counted)}\n")
    assert counted["planned"] > counted["completed"] > 0
    assert counted["planned"] > 3 * counted["left"]
