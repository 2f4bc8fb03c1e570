// The page around GraphiQL: signing in, sending documents with the token, and subscriptions over graphql-transport-ws.
"use strict";

const ENDPOINT = "/graphql";
const SIGN_IN = `mutation SignIn($input: SessionCreateInput!) {
  sessionCreate(input: $input) { accessToken errors { message } }
}`;
const FIRST = `# Ctrl-Enter runs the operation under the cursor.
query Me {
  me { user { fullName email } plants { name timeZone } }
}
`;

const bar = document.getElementById("bar");
const message = document.getElementById("message");
const session = {
  get token() { return sessionStorage.getItem("unison.token"); },
  get who() { return sessionStorage.getItem("unison.who"); },
  begin(token, who) {
    sessionStorage.setItem("unison.token", token);
    sessionStorage.setItem("unison.who", who);
  },
  end() {
    sessionStorage.removeItem("unison.token");
    sessionStorage.removeItem("unison.who");
  },
};

const headers = () => ({
  "content-type": "application/json",
  accept: "application/graphql-response+json, application/json",
  ...(session.token ? { authorization: `Bearer ${session.token}` } : {}),
});

async function post(body, extra = {}) {
  const response = await fetch(ENDPOINT, { method: "POST", headers: { ...headers(), ...extra }, body: JSON.stringify(body) });
  if (response.status === 401 && session.token) {
    session.end();
    message.value = "The session has ended; sign in again";
    show();
  }
  return response.json();
}

const sockets = graphqlWs.createClient({
  url: `${location.protocol === "https:" ? "wss:" : "ws:"}//${location.host}${ENDPOINT}`,
  connectionParams: () => (session.token ? { authorization: `Bearer ${session.token}` } : {}),
});

function subscription(query, name) {
  const found = [...query.matchAll(/(^|[\s}])(query|mutation|subscription)\b\s*(\w*)/g)];
  const wanted = name ? found.find((match) => match[3] === name) : found[0];
  return wanted?.[2] === "subscription";
}

function fetcher(params, options) {
  return subscription(params.query, params.operationName)
    ? sockets.iterate(params)
    : post(params, options?.headers ?? {});
}

function show() {
  const signedIn = Boolean(session.token);
  document.getElementById("who").textContent = signedIn ? `Signed in as ${session.who}` : "Not signed in";
  document.getElementById("fields").hidden = signedIn;
  for (const input of bar.querySelectorAll("input")) input.disabled = signedIn;
  document.getElementById("button").textContent = signedIn ? "Sign out" : "Sign in";
}

bar.addEventListener("submit", async (event) => {
  event.preventDefault();
  message.value = "";
  if (session.token) {
    session.end();
    location.reload();
    return;
  }
  const { organization, email, password } = Object.fromEntries(new FormData(bar));
  const answer = await post({ query: SIGN_IN, variables: { input: { organization, email, password } } });
  const payload = answer.data?.sessionCreate;
  const refusal = answer.errors?.[0] ?? payload?.errors?.[0];
  if (refusal) {
    message.value = refusal.message;
    return;
  }
  session.begin(payload.accessToken, email);
  location.reload();
});

show();
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, { fetcher, defaultQuery: FIRST, shouldPersistHeaders: false, isHeadersEditorEnabled: true }),
);
