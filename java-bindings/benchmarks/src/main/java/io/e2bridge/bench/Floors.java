package io.e2bridge.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** What the kernel, the interpreters and the JSON parser allow, measured in the same rounds. */
final class Floors implements AutoCloseable {
    private static final String GROUP = "floors";
    private static final String LIVES = "floors: whole lives, by eight processes at once (C); each row does what the one above does, and more";
    private static final Map<String, String> LIFE = new LinkedHashMap<>();

    static {
        LIFE.put("namespaces", "a process in six namespaces is made, exits and is waited for");
        LIFE.put("network", "it starts in a network namespace that is kept and used again");
        LIFE.put("ids", "it has id maps, and waits until it is told to go on");
        LIFE.put("files", "it mounts proc and one tmpfs");
        LIFE.put("privileges", "it makes no further user namespace, restricts itself by Landlock, and drops all capabilities");
        LIFE.put("answer", "it writes to 50 pages that it shares with its parent, answers a message, and is killed");
        LIFE.put("worker", "a second process in the sandbox does that");
        LIFE.put("cgroups", "cgroups of v1 for memory, processes and processor time are made, limited, joined and removed");
    }

    private final List<TimedProgram> programs = new ArrayList<>();

    List<Measurement> kernel() {
        TimedProgram c = kernelProgram();
        return List.of(
                TimedProgram.operation(c, "system-call", 20, row("system-call", "a system call that does nothing (C)").elsewhere(0.049)),
                TimedProgram.operation(c, "page-fault", 20, row("page-fault", "a fresh page written to (C)").elsewhere(0.61)),
                TimedProgram.operation(c, "fork", 40, row("fork", "fork, exit, wait (C)").elsewhere(33)),
                TimedProgram.operation(c, "round-trip", 500, row("round-trip", "64 bytes to another process and back, SEQPACKET (C)").elsewhere(5.7)),
                TimedProgram.operation(c, "clone-all", 40, row("clone", "a process in all namespaces: clone3, exit, wait (C)").elsewhere(204)),
                TimedProgram.operation(c, "clone-without-net", 40, row("clone-without-net", "the same without a network namespace (C)").elsewhere(67)),
                TimedProgram.operation(c, "clone-by-two", 200, row("clone-by-two", "the same with all namespaces, sustained by two processes (C)")),
                TimedProgram.operation(c, "fork-exec", 40, row("fork-exec", "fork, exec of a static binary, wait (C)")),
                TimedProgram.operation(c, "kill-wait", 30, row("kill-wait", "kill and wait for a process asleep in namespaces of its own (C)")));
    }

    /** The life of a sandbox up to each of its steps, by several processes at once: what the steps of one row cost more than those before. */
    List<Measurement> lives() {
        TimedProgram c = kernelProgram();
        return LIFE.entrySet().stream()
                .map(step -> TimedProgram.operation(c, "life-" + step.getKey(), 400, Row.of("floor.life." + step.getKey(), LIVES, step.getValue()).underLoad()))
                .toList();
    }

    private TimedProgram kernelProgram() {
        return program(List.of(Settings.given("floor").toString(), Settings.given("exit").toString()));
    }

    List<Measurement> node(String program) {
        TimedProgram node = program(List.of(program, Settings.given("floors").resolve("javascript.js").toString(), Snippet.NODE.code(), Snippet.NODE.expected()));
        return List.of(
                TimedProgram.operation(node, "new-context", 50, row("node-new-context", "the code in a new vm context (inside Node)")),
                TimedProgram.operation(node, "kept-context", 200, row("node-kept-context", "the code in a kept vm context (inside Node)")));
    }

    List<Measurement> python(String program) {
        TimedProgram python = program(
                List.of(program, "-I", "-S", Settings.given("floors").resolve("python.py").toString(), Snippet.PYTHON.code(), Snippet.PYTHON.expected()));
        return List.of(
                TimedProgram.operation(python, "new-module", 200, row("python-new-module", "the code with new globals (inside CPython)")),
                TimedProgram.operation(python, "kept-module", 200, row("python-kept-module", "the code with kept globals (inside CPython)")),
                TimedProgram.operation(python, "fork-by-two", 60,
                        row("python-fork-by-two", "CPython forks, the code with new globals, exit, wait, by two processes at once; no isolation").underLoad()));
    }

    /** A status document alone, parsed as the bindings must. */
    Measurement parse(byte[] document) {
        ObjectMapper mapper = new ObjectMapper();
        return Repeated.of(row("parse", "the status document parsed (Jackson)"), 2000, (Repeated.Call<JsonNode>) () -> mapper.readTree(document));
    }

    private static Row row(String id, String title) {
        return Row.of("floor." + id, GROUP, title);
    }

    private TimedProgram program(List<String> command) {
        TimedProgram program = new TimedProgram(command);
        programs.add(program);
        return program;
    }

    @Override
    public void close() throws IOException {
        for (TimedProgram program : programs) {
            program.close();
        }
    }
}
