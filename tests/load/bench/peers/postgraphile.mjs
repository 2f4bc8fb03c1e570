// PostGraphile 5 over the schemas app and bench, as the application role; the tenant of each request by pgSettings.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";
import { settings } from "./tenant.mjs";

const server = createServer();
const preset = {
  extends: [PostGraphileAmberPreset],
  // Our indexes begin with the organization; without this plugin the columns behind it can be filtered and ordered by too.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  gather: { pgStrictFunctions: true, installWatchFixtures: false },
  pgServices: [
    makePgService({
      connectionString: process.env.DATABASE_URL,
      schemas: ["app", "bench"],
      poolConfig: { max: Number(process.env.POOL_SIZE), idleTimeoutMillis: 0 },
    }),
  ],
  grafast: { context: (request) => ({ pgSettings: settings(request.node.req.headers["x-tenant"]) }), explain: false },
  grafserv: { graphqlPath: "/graphql", graphiql: false, watch: false, websockets: false },
};
const serving = postgraphile(preset).createServ(grafserv);
await serving.addTo(server);
await serving.ready();
server.listen(Number(process.env.PORT), "127.0.0.1", () => console.log("ready"));
