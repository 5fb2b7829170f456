import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.Backend;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.E2BException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * All ten functions on the backend that {@code E2B_BACKEND} chooses, else the local engine; on real input, checked and measured.
 * On the cloud each is measured a few times only, because sandboxes cost there.
 *
 * <p>Arguments: the directory of the price files, the directory to write {@code results.json} and {@code report.html} to.
 * Exit status 1 when one of the ten did not do its work.
 */
public final class Demo {
  /** The Kelly code of the reference's report, in both languages. */
  private static final String KELLY_JAVASCRIPT = """
      function kellyFraction(winProbability, odds) {
        return (winProbability * odds - (1 - winProbability)) / odds;
      }
      const kelly = kellyFraction(0.55, 2.0);
      JSON.stringify({ kelly, bet: 10000 * Math.max(0, kelly) })
      """;

  private static final String KELLY_PYTHON = """
      import json
      def kelly_fraction(win_probability, odds):
          return (win_probability * odds - (1 - win_probability)) / odds
      kelly = kelly_fraction(0.55, 2.0)
      json.dumps({"kelly": kelly, "bet": 10000 * max(0, kelly)})
      """;

  private static final ObjectMapper MAPPER = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

  /** Most measured rounds on the cloud. */
  private static final int CLOUD_ROUNDS = 3;

  private final E2B e2b;
  private final boolean cloud;
  private final Path prices;
  private final List<FunctionRun> runs = new ArrayList<>();
  private final Map<String, JsonNode> documents = new LinkedHashMap<>();
  private JsonNode momentum;
  private JsonNode buyAndHold;

  private Demo(E2B e2b, boolean cloud, Path prices) {
    this.e2b = e2b;
    this.cloud = cloud;
    this.prices = prices;
  }

  public static void main(String[] arguments) throws IOException {
    Path prices = Path.of(arguments[0]);
    Path output = Files.createDirectories(Path.of(arguments[1]));
    boolean cloud = System.getenv().getOrDefault("E2B_BACKEND", "local").equals(Backend.CLOUD.word());
    boolean keyConfigured = !System.getenv().getOrDefault("E2B_API_KEY", "").isEmpty();
    if (cloud) {
      progress("running on the E2B cloud or cluster that the environment names");
    } else {
      progress("E2B cloud key: " + (keyConfigured ? "configured, not used: this demo runs on the local engine" : "not configured, not needed"));
    }

    E2BConfig config = E2BConfig.builder().dataDirectory(output.resolve("data")).build();
    ObjectNode results = MAPPER.createObjectNode();
    results.put("started_at", Instant.now().toString());
    results.put("backend", cloud ? "cloud" : "local");
    results.put("cloud_key_configured", keyConfigured);
    boolean allWorked;
    try (E2B e2b = E2B.open(config)) {
      Demo demo = new Demo(e2b, cloud, prices);
      demo.run();
      allWorked = demo.report(results, output);
    }
    System.exit(allWorked ? 0 : 1);
  }

  private void run() throws IOException {
    String base = lifecycleStart();
    codeExecution(base);
    agentExecution(base);
    String template = templateExport(base);
    String deployment = templateDeploy(template);
    infrastructure(deployment);
    lifecycleEnd(base);
    if (cloud) {
      // The local engine keeps its templates in the output directory.
      e2b.deleteE2BTemplate(template);
    }
  }

  private int rounds(int local) {
    return cloud ? Math.min(local, CLOUD_ROUNDS) : local;
  }

  // Sandbox lifecycle

  private String lifecycleStart() {
    progress("creating sandboxes");
    FunctionRun create = begin("Sandbox Lifecycle", "createE2BSandbox");
    String base = create.check("one base sandbox, isolated", () -> {
      JsonNode document = keep("create", e2b.createE2BSandbox("demo-base", "base", 600, 256, 1).json());
      require(document.path("status").asText().equals("running"), "status is " + document.path("status"));
      return document.path("sandbox_id").asText();
    });
    for (int i = 0; i < rounds(200); i++) {
      JsonNode document = create.measure(() -> e2b.createE2BSandbox("demo-cycle", "base", 60, null, null).json());
      e2b.terminateE2BSandbox(document.path("sandbox_id").asText(), true);
    }

    FunctionRun list = begin("Sandbox Lifecycle", "listE2BSandboxes");
    list.check("finds the new sandbox", () -> {
      JsonNode document = keep("list", e2b.listE2BSandboxes(null).json());
      boolean found = false;
      for (JsonNode sandbox : document.path("sandboxes")) {
        found |= sandbox.path("sandbox_id").asText().equals(base);
      }
      require(found, "the new sandbox is not listed");
      return document.path("total_count").asInt() + " running";
    });
    list.measure(rounds(2_000), () -> e2b.listE2BSandboxes(null));

    FunctionRun status = begin("Sandbox Lifecycle", "getE2BSandboxStatus");
    status.check("live metrics; an unknown id is NOT_FOUND", () -> {
      JsonNode document = keep("status", e2b.getE2BSandboxStatus(base).json());
      // How many processes there are, a cluster does not say.
      require(cloud || document.path("metrics").path("processes").asInt() >= 1, "no process is counted");
      try {
        e2b.getE2BSandboxStatus("sb_thisdoesnotexist000000");
        throw new IllegalStateException("an unknown id was answered");
      } catch (E2BException expected) {
        require(expected.code().name().equals("NOT_FOUND"), "code is " + expected.code());
      }
      return document.path("metrics").path("processes").asInt() + " process(es), limit "
          + document.path("limits").path("memory_mb").asInt() + " MiB";
    });
    status.measure(rounds(5_000), () -> e2b.getE2BSandboxStatus(base));
    return base;
  }

  private void lifecycleEnd(String base) {
    progress("terminating");
    FunctionRun terminate = begin("Sandbox Lifecycle", "terminateE2BSandbox");
    terminate.check("ends it; it is remembered as terminated", () -> {
      keep("terminate", e2b.terminateE2BSandbox(base, false).json());
      String state = e2b.getE2BSandboxStatus(base).json().path("status").asText();
      require(state.equals("terminated"), "state is " + state);
      for (JsonNode left : e2b.listE2BSandboxes(null).json().path("sandboxes")) {
        // An account may have sandboxes of other programs.
        require(cloud && !left.path("sandbox_id").asText().equals(base), "sandbox " + left.path("sandbox_id") + " is left");
      }
      return "no sandbox left";
    });
    for (int i = 0; i < rounds(100); i++) {
      String sandbox = e2b.createE2BSandbox("demo-cycle", "base", 60, null, null).json().path("sandbox_id").asText();
      terminate.measure(() -> e2b.terminateE2BSandbox(sandbox, true));
    }
  }

  // Code execution

  private void codeExecution(String base) {
    progress("running the Kelly code in JavaScript, Python and Node");
    FunctionRun execute = begin("Code Execution", "executeE2BProcess");
    execute.check("host files and host processes are not there", () -> {
      String line = "test ! -e /etc/shadow && test ! -e " + prices.toAbsolutePath() + " && ls /proc | grep -c '^[0-9]'";
      JsonNode document = keep("execute", e2b.executeE2BProcess(base, line, null, 30, true).json());
      require(document.path("exit_code").asInt() == 0, "exit code " + document.path("exit_code") + ": " + document.path("output").asText());
      int seen = Integer.parseInt(document.path("stdout").asText().strip());
      // A virtual machine has a system of its own.
      require(cloud || seen < 10, seen + " processes are seen inside");
      return seen + " processes seen";
    });
    execute.check("Kelly in Python by execute", () -> {
      String sandbox = e2b.createE2BSandbox("demo-python", "python", 300, 256, 1).json().path("sandbox_id").asText();
      try {
        String program = KELLY_PYTHON.stripTrailing().replace("json.dumps", "print(json.dumps") + ")";
        JsonNode document = e2b.executeE2BProcess(sandbox, "python3", List.of("-c", program), 30, true).json();
        String executed = checkKelly(document.path("stdout").asText());
        JsonNode code = keep("code_python", e2b.runE2BCode(sandbox, "python", KELLY_PYTHON, null, 30).json());
        checkKelly(code.path("result").asText());
        FunctionRun run = begin("beyond the ten", "runE2BCode python");
        run.note("Kelly, stateless", executed);
        run.measure(rounds(200), () -> e2b.runE2BCode(sandbox, "python", KELLY_PYTHON, null, 30));
        return executed;
      } finally {
        e2b.terminateE2BSandbox(sandbox, true);
      }
    });
    execute.check("Kelly in Node by execute", () -> {
      String sandbox = e2b.createE2BSandbox("demo-node", "node", 300, 256, 1).json().path("sandbox_id").asText();
      try {
        String program = KELLY_JAVASCRIPT.stripTrailing().replace("JSON.stringify(", "console.log(JSON.stringify(") + ")";
        JsonNode document = e2b.executeE2BProcess(sandbox, "node", List.of("-e", program), 30, true).json();
        String executed = checkKelly(document.path("stdout").asText());
        JsonNode code = keep("code_node", e2b.runE2BCode(sandbox, "javascript", KELLY_JAVASCRIPT, null, 30).json());
        checkKelly(code.path("result").asText());
        FunctionRun run = begin("beyond the ten", "runE2BCode node");
        run.note("Kelly, stateless", executed);
        run.measure(rounds(200), () -> e2b.runE2BCode(sandbox, "javascript", KELLY_JAVASCRIPT, null, 30));
        return executed;
      } finally {
        e2b.terminateE2BSandbox(sandbox, true);
      }
    });
    execute.measure(rounds(200), () -> e2b.executeE2BProcess(base, "/bin/true", List.of(), 30, true));

    FunctionRun javascript = begin("beyond the ten", "runE2BCode base");
    javascript.check("Kelly, stateless", () -> checkKelly(
        keep("code_javascript", e2b.runE2BCode(base, "javascript", KELLY_JAVASCRIPT, null, 30).json()).path("result").asText()));
    javascript.measure(rounds(500), () -> e2b.runE2BCode(base, "javascript", KELLY_JAVASCRIPT, null, 30));
  }

  private static String checkKelly(String json) {
    try {
      JsonNode answer = MAPPER.readTree(json);
      double kelly = answer.path("kelly").asDouble();
      double bet = answer.path("bet").asDouble();
      require(Math.abs(kelly - 0.325) < 1e-12 && Math.abs(bet - 3_250) < 1e-8, "kelly " + kelly + ", bet " + bet);
      return "kellyFraction(0.55, 2.0) = " + answer.path("kelly").asText() + ", bet " + Math.round(bet) + " of 10000";
    } catch (IOException notJson) {
      throw new IllegalStateException("not JSON: " + json, notJson);
    }
  }

  // Agent execution

  private void agentExecution(String base) throws IOException {
    progress("running agents on the S&P 500, 2000 to 2020");
    byte[] file = Files.readAllBytes(prices.resolve("sp500.csv"));
    e2b.writeE2BFile(base, "/data/SPX.csv", file);
    FunctionRun agent = begin("Agent Execution", "runE2BAgent");
    agent.check("momentum, with the Boolean that the reference refused", () -> {
      JsonNode document = keep("agent", e2b.runE2BAgent(base, "momentum", List.of("SPX"), false).json());
      require(document.path("status").asText().equals("completed"), "status is " + document.path("status"));
      momentum = document.path("result").path("SPX");
      return figures("momentum", momentum);
    });
    agent.check("buy and hold equals last close over first", () -> {
      buyAndHold = e2b.runE2BAgent(base, "buy_and_hold", List.of("SPX"), false).json().path("result").path("SPX");
      double expected = totalReturn(new String(file, StandardCharsets.UTF_8));
      double found = buyAndHold.path("total_return").asDouble();
      require(Math.abs(found - expected) <= 1e-9 * Math.abs(expected), "total return " + found + ", computed here " + expected);
      return figures("buy and hold", buyAndHold);
    });
    agent.measure(rounds(10), () -> e2b.runE2BAgent(base, "momentum", List.of("SPX"), false));
  }

  private static double totalReturn(String csv) {
    List<String> lines = csv.lines().skip(1).filter(line -> !line.isBlank()).toList();
    return close(lines.getLast()) / close(lines.getFirst()) - 1;
  }

  /** The adjusted close: {@code date,open,high,low,close,adjclose,volume}. */
  private static double close(String line) {
    return Double.parseDouble(line.split(",")[5]);
  }

  private static String figures(String name, JsonNode result) {
    return String.format("%s: total return %.1f %%, Sharpe %.2f, max drawdown %.1f %%", name,
        100 * result.path("total_return").asDouble(), result.path("sharpe").asDouble(), 100 * result.path("max_drawdown").asDouble());
  }

  // Template management

  private String templateExport(String base) {
    progress("exporting a template and deploying it");
    e2b.writeE2BFile(base, "/opt/strategy/name.txt", "momentum\n".getBytes(StandardCharsets.UTF_8));
    FunctionRun export = begin("Template Management", "exportE2BTemplate");
    String template = "demo-strategy";
    export.check("a snapshot of /opt as a template", () -> {
      JsonNode document = keep("export", e2b.exportE2BTemplate(base, template, false).json());
      // A snapshot of a cluster is not counted.
      require(cloud || document.path("entries").asInt() > 0, "the template is empty");
      return document.path("template_id").asText().substring(0, 10) + "…, " + document.path("entries").asInt() + " entries";
    });
    export.measure(rounds(20), () -> e2b.exportE2BTemplate(base, template, false));
    return template;
  }

  private String templateDeploy(String template) {
    FunctionRun deploy = begin("Template Management", "deployE2BTemplate");
    String deployment = deploy.check("an instance of it, with the object that the reference refused", () -> {
      JsonNode document = keep("deploy", e2b.deployE2BTemplate(template, "trading", Map.of("strategy", "momentum")).json());
      String instance = document.path("sandbox_ids").path(0).asText();
      JsonNode seen = e2b.executeE2BProcess(instance, "cat /opt/strategy/name.txt; echo $E2B_CONFIGURATION", null, 30, true).json();
      require(seen.path("output").asText().equals("momentum\n{\"strategy\":\"momentum\"}\n"), "the instance sees " + seen.path("output"));
      return document.path("deployment_id").asText();
    });
    for (int i = 0; i < rounds(10); i++) {
      JsonNode document = deploy.measure(() -> e2b.deployE2BTemplate(template, "trading", Map.of("strategy", "momentum")).json());
      e2b.scaleE2BDeployment(document.path("deployment_id").asText(), 0, false);
    }
    return deployment;
  }

  // Infrastructure

  private void infrastructure(String deployment) {
    progress("scaling to 3 and checking health");
    FunctionRun scale = begin("Infrastructure", "scaleE2BDeployment");
    scale.check("3 instances", () -> {
      JsonNode document = keep("scale", e2b.scaleE2BDeployment(deployment, 3, false).json());
      require(document.path("instances").asInt() == 3 && document.path("status").asText().equals("scaled"), document.toString());
      return "3 instances of one deployment";
    });
    for (int i = 0; i < rounds(10); i++) {
      scale.measure(() -> e2b.scaleE2BDeployment(deployment, 1, false));
      scale.measure(() -> e2b.scaleE2BDeployment(deployment, 3, false));
    }

    FunctionRun health = begin("Infrastructure", "monitorE2BHealth");
    health.check("every sandbox answers its probe", () -> {
      JsonNode document = keep("health", e2b.monitorE2BHealth(true).json());
      require(document.path("overall_health").asText().equals("healthy"), document.toString());
      int probed = document.path("sandboxes").size();
      require(cloud ? probed >= 4 : probed == 4, probed + " sandboxes were probed");
      JsonNode isolation = document.path("isolation");
      return document.path("responsive_sandboxes").asInt() + " of " + probed + " answer; isolation " + isolation.path("tier").asText()
          + ", memory by " + isolation.path("memory").asText();
    });
    health.measure(rounds(100), () -> e2b.monitorE2BHealth(true));
    e2b.scaleE2BDeployment(deployment, 0, false);
  }

  // Report

  private boolean report(ObjectNode results, Path output) throws IOException {
    System.out.println();
    System.out.printf("%-20s %-22s %-6s %10s %10s %12s  %s%n", "category", "function", "result", "p50 us", "p99 us", "per second", "what it did");
    String category = "";
    List<FunctionRun> ordered = runs.stream().sorted(java.util.Comparator.comparingInt(FunctionRun::order)).toList();
    for (FunctionRun run : ordered) {
      System.out.printf("%-20s %-22s %-6s %10.1f %10.1f %12.0f  %s%n", run.category().equals(category) ? "" : run.category(), run.function(),
          run.worked() ? "ok" : "FAILED", run.percentile(50), run.percentile(99), run.perSecond(), run.details());
      category = run.category();
    }
    long worked = runs.stream().filter(run -> !run.category().startsWith("beyond") && run.worked()).count();
    boolean allWorked = worked == 10 && runs.stream().allMatch(FunctionRun::worked);
    System.out.println();
    System.out.println(worked + " of 10 functions did their work. One caller; latency as the Java caller sees it.");

    results.put("functions_that_worked", worked);
    results.set("functions", MAPPER.valueToTree(ordered.stream().map(FunctionRun::raw).toList()));
    results.set("documents", MAPPER.valueToTree(documents));
    results.set("momentum", momentum);
    results.set("buy_and_hold", buyAndHold);
    Files.writeString(output.resolve("results.json"), MAPPER.writeValueAsString(results));
    Files.writeString(output.resolve("report.html"), HtmlReport.of(ordered, momentum, buyAndHold, documents.get("health"), worked));
    System.out.println("raw data: " + output.resolve("results.json"));
    System.out.println("report:   " + output.resolve("report.html"));
    return allWorked;
  }

  private FunctionRun begin(String category, String function) {
    FunctionRun run = new FunctionRun(category, function);
    runs.add(run);
    return run;
  }

  private JsonNode keep(String name, JsonNode document) {
    documents.put(name, document);
    return document;
  }

  private static void progress(String text) {
    System.out.println("… " + text);
  }

  private static void require(boolean holds, String otherwise) {
    if (!holds) {
      throw new IllegalStateException(otherwise);
    }
  }
}
