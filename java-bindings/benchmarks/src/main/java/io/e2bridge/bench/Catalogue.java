package io.e2bridge.bench;

import io.e2bridge.ProcessResult;
import io.e2bridge.SandboxStatus;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;

/** Everything that is measured of E2Bridge, with targets, and what each is compared with. */
final class Catalogue {
    static final int[] CALLERS = {1, 8, 64};
    static final List<Snippet> SNIPPETS = List.of(Snippet.JAVASCRIPT, Snippet.PYTHON, Snippet.NODE);

    private static final String STATUS = "status and processes";
    private static final String SUSTAINED = "sustained: create, run, terminate";
    private static final String POOLS = "pools";
    private static final String MEMORY = "memory of a sandbox";
    private static final String START = "start-up";
    private static final long IDLE_MICROS = 150_000;
    /** Runs for about half a second, with some memory in use. */
    private static final Snippet BUSY = new Snippet(
            "busy", "base", "javascript", "const end = Date.now() + 500; let kept = []; while (Date.now() < end) { kept = Array.from({ length: 1000 }, String); } kept.length", "1000");

    private final Client pooled;
    private final Client cold;
    private final List<Measurement> measurements = new ArrayList<>();
    private final List<Exhaustion> exhaustions = new ArrayList<>();
    private byte[] statusDocument;

    Catalogue(Client pooled, Client cold) {
        this.pooled = pooled;
        this.cold = cold;
    }

    List<Measurement> all() throws IOException {
        status();
        SNIPPETS.forEach(this::lives);
        SNIPPETS.forEach(this::laterRuns);
        afterIdle();
        SNIPPETS.forEach(this::sustained);
        exhaustion();
        memory();
        start();
        return measurements;
    }

    /** {@return a status document as it crosses; there is one after {@link #all}} */
    byte[] statusDocument() {
        return statusDocument;
    }

    List<Exhaustion> exhaustions() {
        return exhaustions;
    }

    private void status() throws IOException {
        String sandbox = pooled.create("base");
        Row status = Row.of("status", STATUS, "status of a live sandbox, JSON parsed").atMost(2).over("floor.parse").against("reference.status");
        measurements.add(Repeated.of(status, 5000, new Repeated.Call<SandboxStatus>() {
            @Override
            public SandboxStatus make() {
                return pooled.e2b().getE2BSandboxStatus(sandbox);
            }

            @Override
            public void check(SandboxStatus answer) {
                require("running".equals(answer.status()), "status", answer);
            }
        }));
        statusDocument = pooled.e2b().getE2BSandboxStatus(sandbox).json().toString().getBytes(StandardCharsets.UTF_8);

        String program = "/home/user/exit";
        pooled.e2b().writeE2BFile(sandbox, program, Files.readAllBytes(Settings.given("exit")));
        require(pooled.e2b().executeE2BProcess(sandbox, "chmod 755 " + program).exitCode() == 0, "chmod", program);
        process(sandbox, Row.of("execute.static", STATUS, "execute a static binary").atMost(300).over("floor.fork-exec")
                .against("process.static", "bubblewrap.static", "reference.execute"), program, List.of(), "");
        process(sandbox, Row.of("execute.shell", STATUS, "execute a shell line (sh -c echo)").against("process.sh", "bubblewrap.sh"), "echo 3250", null, "3250\n");
    }

    private void process(String sandbox, Row row, String command, List<String> arguments, String output) {
        measurements.add(Repeated.of(row, 60, new Repeated.Call<ProcessResult>() {
            @Override
            public ProcessResult make() {
                return pooled.e2b().executeE2BProcess(sandbox, command, arguments);
            }

            @Override
            public void check(ProcessResult answer) {
                require(answer.exitCode() == 0 && answer.output().equals(output), "execute", answer);
            }
        }));
    }

    private static void require(boolean holds, String what, Object answer) {
        if (!holds) {
            throw new IllegalStateException(what + ": wrong answer " + answer);
        }
    }

    private void lives(Snippet snippet) {
        String name = snippet.label();
        String group = group(snippet);
        boolean base = snippet == Snippet.JAVASCRIPT;
        String[] bare = {"process." + (base ? "node" : name), "bubblewrap." + (base ? "node" : name)};
        Row create = Row.of("create." + snippet.template() + ".pooled", group, "create, from the pool").over("floor.round-trip").against("bubblewrap.static", "reference.create");
        Row first = Row.of("first." + name, group, "first run in a sandbox from the pool").over(interpreterFloor(snippet, "new")).against(bare);
        Row terminate = Row.of("terminate." + snippet.template(), group, "terminate after one run, everything of it gone").over("floor.kill-wait");
        if (base) {
            create = create.atMost(60);
            terminate = terminate.atMost(250).against("reference.terminate");
        }
        measurements.add(new Lives(pooled, snippet, true, base ? 15 : 5, create,
                first.atMost(switch (name) { case "javascript" -> 100; case "python" -> 300; default -> 500; }), terminate));

        Row coldCreate = Row.of("create." + snippet.template() + ".cold", group, "create, pool empty, back to back").over("floor.clone").against("bubblewrap.static", "reference.create");
        measurements.add(new Lives(cold, snippet, false, base ? 20 : 4, base ? coldCreate.atMost(400) : coldCreate,
                Row.of("first." + name + ".cold", group, "first run in a sandbox made without a pool").over(interpreterFloor(snippet, "new")).against(bare),
                Row.of("terminate." + snippet.template() + ".cold", group, "terminate after one run, without pools").over("floor.kill-wait")));
    }

    private static String group(Snippet snippet) {
        return "template " + snippet.template() + ", " + (snippet == Snippet.JAVASCRIPT ? "embedded JavaScript" : snippet == Snippet.PYTHON ? "CPython" : "Node");
    }

    /** An embedded engine has no interpreter of the host to be compared with: the way there and back is what remains. */
    private static String interpreterFloor(Snippet snippet, String kind) {
        return switch (snippet.label()) {
            case "python" -> "floor.python-" + kind + "-module";
            case "node" -> "floor.node-" + kind + "-context";
            default -> "floor.round-trip";
        };
    }

    private void laterRuns(Snippet snippet) {
        String name = snippet.label();
        String sandbox = pooled.create(snippet.template());
        double[] targets = switch (name) { case "javascript" -> new double[] {40, 25}; case "python" -> new double[] {120, 40}; default -> new double[] {120, 30}; };
        // Engines that make their next context while idle are given the time that DESIGN names.
        int pause = switch (name) { case "javascript" -> 1000; case "node" -> 3000; default -> 0; };
        String graal = snippet == Snippet.NODE ? "graal.javascript" : "graal." + name;
        Row later = Row.of("later." + name, group(snippet), "later run, stateless" + (pause > 0 ? ", paced " + pause / 1000 + " ms" : ""))
                .atMost(targets[0]).over(interpreterFloor(snippet, "new")).against(graal + ".new");
        measurements.add(Repeated.of(later, pause == 3000 ? 40 : 80, new CodeCall(pooled, sandbox, snippet, null)).paced(pause));
        if (pause > 0) {
            Row unpaced = Row.of("later." + name + ".unpaced", group(snippet), "later run, stateless, back to back").over(interpreterFloor(snippet, "new")).against(graal + ".new");
            measurements.add(Repeated.of(unpaced, 80, new CodeCall(pooled, sandbox, snippet, null)));
        }
        Row inContext = Row.of("context." + name, group(snippet), "later run, in a context").atMost(targets[1]).over(interpreterFloor(snippet, "kept")).against(graal + ".kept");
        measurements.add(Repeated.of(inContext, 150, new CodeCall(pooled, sandbox, snippet, "bench")));
    }

    private void afterIdle() {
        String idle = "create, first one after " + IDLE_MICROS / 1000 + " ms without any call, ";
        for (boolean fromPool : new boolean[] {true, false}) {
            Client client = fromPool ? pooled : cold;
            List<String> made = new ArrayList<>();
            Row row = Row.of("create.base.idle." + (fromPool ? "pooled" : "cold"), group(Snippet.JAVASCRIPT), idle + (fromPool ? "from the pool" : "pool empty"));
            measurements.add(Repeated.of(row, 4, () -> {
                made.add(client.create("base"));
                return null;
            }).preparedBy(() -> {
                made.forEach(client::terminate);
                made.clear();
                client.awaitFullPool("base");
            }).paced(IDLE_MICROS));
        }
    }

    private void sustained(Snippet snippet) {
        boolean base = snippet == Snippet.JAVASCRIPT;
        String bare = base ? "node" : snippet.label();
        for (int callers : CALLERS) {
            Row row = Row.of("cycle." + snippet.label() + "." + callers, SUSTAINED, snippet.label() + ", " + callers + (callers == 1 ? " caller" : " callers"))
                    .underLoad().over(snippet == Snippet.PYTHON ? "floor.python-fork-by-two" : callers == 1 ? "floor.clone" : "floor.life.cgroups");
            if (callers == 1) {
                row = row.against("process." + bare, "bubblewrap." + bare, "graal." + (base ? "javascript" : snippet.label()) + ".new", "reference.cycle");
            }
            if (callers == 8 && snippet != Snippet.NODE) {
                row = row.atLeastPerSecond(base ? 3000 : 700);
            }
            measurements.add(new Sustained(pooled, snippet, callers, row));
        }
    }

    private void exhaustion() {
        for (String template : List.of("base", "python", "node")) {
            Exhaustion exhaustion = new Exhaustion(pooled, template,
                    Row.of("pool." + template + ".beyond", POOLS, template + ": create when more are taken at once than the pool holds"),
                    Row.of("pool." + template + ".recovery", POOLS, template + ": from the last of them until the pool is full again"));
            exhaustions.add(exhaustion);
            measurements.add(exhaustion);
        }
    }

    private void memory() {
        memory(cold, "base", 8, null, "idle, made without a pool", 1);
        // As many as the pool holds, so that all are of its kind.
        memory(pooled, "base", 4, null, "idle, from the pool", 1);
        memory(cold, "base", 4, BUSY, "busy with JavaScript", Double.NaN);
        memory(pooled, "python", 1, null, "idle, from the pool", Double.NaN);
        memory(pooled, "node", 1, null, "idle, from the pool", Double.NaN);
    }

    private void memory(Client client, String template, int sandboxes, Snippet busy, String title, double limit) {
        String id = "memory." + template + (busy != null ? ".busy" : client == cold ? ".cold" : "");
        Row row = Row.of(id, MEMORY, template + ", " + title + ": private memory of its processes").in(Unit.MEBIBYTES);
        Row group = Row.of(id + ".group", MEMORY, template + ", " + title + ": charged to its cgroup").in(Unit.MEBIBYTES);
        measurements.add(new Memory(client, template, sandboxes, busy, Double.isNaN(limit) ? row : row.atMost(limit), group));
    }

    private void start() {
        measurements.add(new FreshJvm(
                Row.of("start.nothing", START, "a JVM that does nothing, start to end"),
                Row.of("start.open-close", START, "a JVM that opens and closes a client, start to end").over("start.nothing"),
                Row.of("start.whole", START, "a JVM that runs JavaScript once, start to end").over("start.nothing"),
                Row.of("start.open", START, "in a fresh JVM: E2B.open()"),
                Row.of("start.first", START, "in a fresh JVM: from before E2B.open() to the first JavaScript result")));
    }
}
