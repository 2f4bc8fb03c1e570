// How a frontend uses the generated documents. It is compiled, not run: the types are what is tested.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { MachinesDocument, WorkOrderChangesDocument, WorkOrderReleaseDocument, type RefusalFragment } from "./generated/graphql.js";

async function ask<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables): Promise<Data> {
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ query: print(document), variables }),
  });
  const { data, errors } = (await response.json()) as { data: Data; errors?: { message: string }[] };
  if (errors) throw new Error(errors[0]?.message);
  return data;
}

function advice(refusal: RefusalFragment): string {
  switch (refusal.__typename) {
    case "VersionConflict":
      return `Somebody was faster: it is version ${refusal.current.toFixed()} now`;
    case "InvalidTransition":
      return `From ${refusal.from} it can become ${refusal.allowed.join(", ")}`;
    case "OverCompletion":
      return `At most ${refusal.maxRemaining} more`;
    default:
      return refusal.message;
  }
}

export async function release(id: string, expectedVersion: number): Promise<string> {
  const { workOrderRelease } = await ask(WorkOrderReleaseDocument, { input: { id, expectedVersion } });
  if (!workOrderRelease) throw new Error("not executed");
  const [refusal] = workOrderRelease.errors;
  return refusal ? advice(refusal) : (workOrderRelease.workOrder?.status ?? "gone");
}

export async function running(): Promise<string[]> {
  const { machines } = await ask(MachinesDocument, { where: { status: { eq: "RUNNING" } } });
  return machines?.nodes.map((machine) => `${machine.code} since ${machine.statusSince}`) ?? [];
}

export const watched: string = print(WorkOrderChangesDocument);
