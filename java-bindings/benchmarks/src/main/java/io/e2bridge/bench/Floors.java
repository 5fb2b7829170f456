package io.e2bridge.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/** What the kernel, the interpreters and the JSON parser allow, measured in the same rounds. */
final class Floors implements AutoCloseable {
    private static final String GROUP = "floors";

    private final List<TimedProgram> programs = new ArrayList<>();

    List<Measurement> kernel() {
        TimedProgram c = program(List.of(Settings.given("floor").toString(), Settings.given("exit").toString()));
        return List.of(
                TimedProgram.operation(c, "round-trip", 500, row("round-trip", "64 bytes to another process and back, SEQPACKET (C)")),
                TimedProgram.operation(c, "clone-all", 40, row("clone", "a process in all namespaces: clone3, exit, wait (C)")),
                TimedProgram.operation(c, "clone-without-net", 40, row("clone-without-net", "the same without a network namespace (C)")),
                TimedProgram.operation(c, "clone-by-two", 200, row("clone-by-two", "the same with all namespaces, sustained by two processes (C)")),
                TimedProgram.operation(c, "fork-exec", 40, row("fork-exec", "fork, exec of a static binary, wait (C)")),
                TimedProgram.operation(c, "kill-wait", 30, row("kill-wait", "kill and wait for a process asleep in namespaces of its own (C)")));
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
                TimedProgram.operation(python, "kept-module", 200, row("python-kept-module", "the code with kept globals (inside CPython)")));
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
