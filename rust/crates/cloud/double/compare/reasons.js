// Why our requests differ from those of E2B's own client. Each reason names the difference that it explains: the route and what it
// says there, as texts or patterns; what is absent matches any.
const reason = (what, why, { route = /./, at, step = /./ }) => ({
  what, why, matches: row => test(route, row.route) && test(at, row.what) && test(step, row.step),
});

const test = (wanted, found) => (wanted instanceof RegExp ? wanted.test(found) : wanted === found);

export const REASONS = [
  reason('`User-Agent`', 'each client names itself', { at: 'header user-agent' }),
  reason('`Accept`', 'only the API has answers of more than one kind, and JSON is asked for there; without the header any kind is accepted', { at: 'header accept' }),
  reason('`Accept-Encoding`', 'ours asks for nothing compressed: an answer is read as it comes, its length known', { at: 'header accept-encoding' }),

  reason('`metadata`', 'the caller\'s own there; ours keeps name, template, life and a mark of the request, by which other processes find the sandbox again', { route: 'POST /v2/sandboxes', at: /^body\.metadata\./ }),
  reason('`timeout`', 'the life that was asked for; the reference leaves out what is the server\'s default', { route: 'POST /v2/sandboxes', at: 'body.timeout' }),
  reason('`envVars`', 'ours adds `E2B_CONFIGURATION`, the whole configuration of a deployment', { route: 'POST /v2/sandboxes', at: /^body\.envVars/ }),
  reason('`metadata`', 'our mark instead of the caller\'s filter', { route: 'GET /v2/sandboxes', at: 'query metadata' }),
  reason('`state`', 'both states are asked for and told apart here', { route: 'GET /v2/sandboxes', at: 'query state' }),
  reason('`order`, `limit`', 'oldest first, and whole pages: ours reads all of them', { route: 'GET /v2/sandboxes', at: /^query (order|limit)$/ }),

  reason('`cmd`, `args`', 'a line goes to `/bin/sh -c`, as on the local engine, not to a login shell', { route: '/process.Process/Start', at: /^body\.process\.(cmd|args\.\d+)$/ }),
  reason('`envs`, `tag`', 'the execution\'s id: by the variable everything of it is found and ended at a time-out', { route: '/process.Process/Start', at: /^body\.(process\.envs\.E2B_EXECUTION_ID|tag)$/ }),
  reason('`cwd`', 'said, so that a template\'s own directory of work changes nothing', { route: '/process.Process/Start', at: 'body.process.cwd' }),
  reason('`Authorization`', 'the user is said (`user:`), so that a template\'s own user changes nothing', { route: '/process.Process/Start', at: 'header authorization' }),
  reason('body', 'ours sends a file as it is, in a stream; the reference sends a form unless it is told not to', { route: 'POST /files', at: 'header content-type' }),
  reason('`username`, `signature`', 'the user is said for the same reason; the address is signed, too, for servers that look only at that', { route: /\/files$/, at: /^query (username|signature)$/ }),

  reason('`context_id`, `language`', 'code that names no context runs in one of its own, which is removed afterwards: stateless', { route: 'POST /execute', at: /^body\.(context_id|language)$/ }),
  reason('headers', 'the API is asked whether it answers, where the reference asks the sandbox', { route: 'GET /health', at: /^header / }),
  reason('request', 'health asks every sandbox for its programs: that needs the token, and a daemon that works', { route: '/process.Process/List', at: 'request' }),
  reason('request', 'health has the figures of all sandboxes at once', { route: 'GET /sandboxes/metrics', at: 'request' }),
  reason('request', 'health and deployments begin with what there is', { route: 'GET /v2/sandboxes', at: 'request' }),
  reason('request', 'the state and the limits, which the answer of the call itself does not have', { route: 'GET /sandboxes/{sandboxID}', at: 'request' }),
  reason('request', 'a name is looked up first: an unknown one is NOT_FOUND, and one that is there is replaced or deleted by its id', { route: 'GET /templates/aliases/{alias}', at: 'request' }),
  reason('request', 'a context for one run is made and removed', { route: /\/contexts/, at: 'request' }),
  reason('`cwd`', 'said, for the same reason as for programs', { route: 'POST /contexts', at: 'body.cwd' }),
  reason('`X-Access-Token`', 'ours sends it with every call to a sandbox, the reference only with `/execute`', { route: 'POST /contexts', at: 'header x-access-token' }),
];
