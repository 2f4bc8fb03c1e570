// graphql-yoga with graphql-jit and dataloaders, written by hand for the bench's queries, over the same role and settings.
import { createServer } from "node:http";
import { useGraphQlJit } from "@envelop/graphql-jit";
import DataLoader from "dataloader";
import { createSchema, createYoga } from "graphql-yoga";
import pg from "pg";
import { settings } from "./tenant.mjs";

pg.types.setTypeParser(pg.types.builtins.TIMESTAMPTZ, (text) => text.replace(" ", "T") + ":00");
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.POOL_SIZE), idleTimeoutMillis: 0 });

const ORDER = `id, number, product_code as "productCode", product_name as "productName", operation_type as "operationType",
  status, priority, quantity_ordered as "quantityOrdered", version, planned_start_at as "plannedStartAt",
  created_at as "createdAt", plant_id, project_id`;
const STEP = `id, work_order_id, sequence, name, status, quantity_good as "quantityGood"`;

const typeDefs = /* GraphQL */ `
  type Plant { id: ID! code: String! name: String! }
  type Project { id: ID! number: String! name: String! }
  type Operation { id: ID! sequence: Int! name: String! status: String! quantityGood: String! }
  type WorkOrder {
    id: ID! number: String! productCode: String productName: String operationType: String status: String! priority: String!
    quantityOrdered: String! version: Int! plannedStartAt: String createdAt: String!
    plant: Plant project: Project operations(first: Int!): [Operation!]!
  }
  type WorkOrders { totalCount: Int! nodes: [WorkOrder!]! }
  type Query { workOrder(id: ID!): WorkOrder workOrders(first: Int!, after: String, status: String, descending: Boolean): WorkOrders!
    statusCounts: [StatusCount!]! unreadCount: Int! }
  type StatusCount { status: String! count: Int! }
  type Recorded { operation: Operation }
  type Mutation { recordLog(operation: ID!, good: String!, key: String!): Recorded }
`;

// One transaction per request, on one connection, begun by the first statement.
class Work {
  constructor(tenant) {
    this.settings = settings(tenant);
    this.organization = this.settings["app.org_id"];
    this.client = null;
    this.plants = this.byKey("plants", "id, code, name");
    this.projects = this.byKey("projects", "id, number, name");
    this.operations = new DataLoader(async (keys) => {
      const { rows } = await this.query({
        name: "operations",
        text: `select ${STEP} from app.work_order_operations where organization_id = $1 and work_order_id = any ($2)
               order by work_order_id, sequence`,
        values: [this.organization, keys.map((key) => key.id)],
      });
      const found = new Map(keys.map((key) => [key.id, []]));
      for (const row of rows) found.get(row.work_order_id).push(row);
      return keys.map((key) => found.get(key.id).slice(0, key.first));
    }, { cacheKeyFn: (key) => `${key.id}/${key.first}` });
  }

  byKey(table, columns) {
    return new DataLoader(async (ids) => {
      const text = `select ${columns} from app.${table} where organization_id = $1 and id = any ($2)`;
      const { rows } = await this.query({ name: table, text, values: [this.organization, ids] });
      const found = new Map(rows.map((row) => [row.id, row]));
      return ids.map((id) => found.get(id) ?? null);
    });
  }

  async begun() {
    const client = await pool.connect();
    const names = Object.keys(this.settings);
    await client.query("begin");
    await client.query({
      name: "settings",
      text: `select ${names.map((name, n) => `set_config('${name}', $${n + 1}, true)`).join(", ")}`,
      values: Object.values(this.settings),
    });
    return client;
  }

  async query(statement) {
    this.client ??= this.begun();
    return (await this.client).query(statement);
  }

  async end(done) {
    if (this.client === null) return;
    const client = await this.client;
    this.client = null;
    await client.query(done ? "commit" : "rollback");
    client.release();
  }
}

const resolvers = {
  Query: {
    workOrder: async (_, { id }, { work }) => {
      const text = `select ${ORDER} from app.work_orders where organization_id = $1 and id = $2`;
      return (await work.query({ name: "order", text, values: [work.organization, id] })).rows[0] ?? null;
    },
    workOrders: (_, given) => given,
    statusCounts: async (_, __, { work }) =>
      (await work.query({ name: "counts", text: "select status, count::int from bench.status_counts()", values: [] })).rows,
    unreadCount: async (_, __, { work }) =>
      (await work.query({ name: "unread", text: "select bench.unread_count()::int as n", values: [] })).rows[0].n,
  },
  WorkOrders: {
    nodes: async ({ first, after, status, descending }, _, { work }) => {
      const values = [work.organization, first];
      const order = descending ? "number desc" : "number";
      let name = `orders ${order}`, where = "";
      if (after != null) (values.push(after), (name += "-after"), (where += ` and number > $${values.length}`));
      if (status != null) (values.push(status), (name += "-status"), (where += ` and status = $${values.length}`));
      const text = `select ${ORDER} from app.work_orders where organization_id = $1${where} order by ${order} limit $2`;
      return (await work.query({ name, text, values })).rows;
    },
    totalCount: async ({ status }, _, { work }) => {
      const text = "select count(*)::int as n from app.work_orders where organization_id = $1 and status = $2";
      return (await work.query({ name: "count", text, values: [work.organization, status] })).rows[0].n;
    },
  },
  WorkOrder: {
    plant: (order, _, { work }) => work.plants.load(order.plant_id),
    project: (order, _, { work }) => (order.project_id === null ? null : work.projects.load(order.project_id)),
    operations: (order, { first }, { work }) => work.operations.load({ id: order.id, first }),
  },
  Mutation: {
    recordLog: async (_, { operation, good, key }, { work }) => {
      const text = `select ${STEP} from bench.record_log($1, $2, $3)`;
      return { operation: (await work.query({ name: "record", text, values: [operation, good, key] })).rows[0] };
    },
  },
};

const perRequest = {
  onExecute: ({ args }) => ({
    onExecuteDone: ({ result }) => args.contextValue.work.end(!result.errors),
  }),
};

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: ({ request }) => ({ work: new Work(request.headers.get("x-tenant")) }),
  plugins: [useGraphQlJit(), perRequest],
  graphiql: false,
  landingPage: false,
  logging: false,
  maskedErrors: false,
});
createServer(yoga).listen(Number(process.env.PORT), "127.0.0.1", () => console.log("ready"));
