package io.e2bridge.bench;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Consumer;

/** What a Java program has otherwise: a process, a process in bubblewrap, GraalVM's languages, and the reference module. */
final class Alternatives implements AutoCloseable {
    private static final String PROCESS = "alternatives: ProcessBuilder";
    private static final String BUBBLEWRAP = "alternatives: ProcessBuilder and bubblewrap";
    private static final String GRAAL = "alternatives: GraalVM languages in the JVM";
    private static final String REFERENCE = "alternatives: the reference module (answers are constants, called from Node)";

    private final Results results;
    private final List<TimedProgram> programs = new ArrayList<>();
    private final List<Measurement> measurements = new ArrayList<>();
    private final Map<String, String> versions = new LinkedHashMap<>();

    Alternatives(Results results) {
        this.results = results;
    }

    List<Measurement> all() {
        processes();
        graal("js", "javascript", Snippet.JAVASCRIPT);
        graal("python", "python", Snippet.PYTHON);
        reference();
        return measurements;
    }

    /** {@return what was measured, by name} */
    Map<String, String> versions() {
        return versions;
    }

    private void processes() {
        Path bubblewrap = ProcessCall.find("bwrap");
        if (bubblewrap == null) {
            results.skip("bubblewrap", reason("bubblewrap"));
        } else {
            version("bubblewrap", List.of(bubblewrap.toString(), "--version"));
        }
        Map<String, ProcessCall> calls = new LinkedHashMap<>();
        calls.put("static", new ProcessCall(List.of(Settings.given("exit").toString()), ""));
        calls.put("sh", new ProcessCall(List.of("/bin/sh", "-c", "echo 3250"), "3250"));
        Path python = ProcessCall.find("python3");
        if (python == null) {
            results.skip("python3", "there is none on the PATH");
        } else {
            calls.put("python", new ProcessCall(List.of(python.toString(), "-I", "-S", "-c", printed(Snippet.PYTHON.code())), "3250"));
            version("python3", List.of(python.toString(), "--version"));
        }
        Path node = ProcessCall.find("node");
        if (node == null) {
            results.skip("node", "there is none on the PATH");
        } else {
            calls.put("node", new ProcessCall(List.of(node.toString(), "-p", Snippet.NODE.code()), "3250"));
            version("node", List.of(node.toString(), "--version"));
        }
        Map<String, String> titles = Map.of(
                "static", "a static binary", "sh", "sh -c echo", "python", "python3 -I -S, the code", "node", "node -p, the code");
        calls.forEach((name, call) -> {
            int count = name.equals("node") ? 4 : 15;
            measurements.add(Repeated.of(Row.of("process." + name, PROCESS, titles.get(name)), count, call));
            if (bubblewrap != null) {
                measurements.add(Repeated.of(Row.of("bubblewrap." + name, BUBBLEWRAP, titles.get(name)), count, call.inBubblewrap(bubblewrap)));
            }
        });
    }

    /** The last line of the Python code is its value; a program has to print it. */
    private static String printed(String code) {
        String body = code.stripTrailing();
        int last = body.lastIndexOf('\n') + 1;
        return body.substring(0, last) + "print(" + body.substring(last) + ")";
    }

    private void graal(String language, String label, Snippet snippet) {
        String classPath = Settings.said("graal." + language);
        String name = language.equals("js") ? "GraalJS" : "GraalPy";
        start(name, classPath, List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED",
                "-cp", classPath, String.valueOf(Settings.given("languages")), language, snippet.code(),
                snippet.expected()), program -> {
            versions.put(name, Settings.said("graal.version") + ", on this JVM, hence without its compiler");
            measurements.add(TimedProgram.operation(program, "new-context", 4, Row.of("graal." + label + ".new", GRAAL, name + ", a context for each run")));
            measurements.add(TimedProgram.operation(program, "kept-context", 100, Row.of("graal." + label + ".kept", GRAAL, name + ", one context for all runs")));
        });
    }

    private void reference() {
        Path node = ProcessCall.find("node");
        String module = Settings.said("reference");
        start("reference module", node == null ? "" : module,
                List.of(String.valueOf(node), String.valueOf(Settings.given("reference.program")), module), program -> {
            versions.put("reference module", Settings.said("reference.version"));
            for (String operation : List.of("status", "create", "execute", "terminate", "cycle")) {
                String title = operation.equals("cycle") ? "create, execute (nothing runs), terminate" : operation;
                measurements.add(TimedProgram.operation(program, operation, 200, Row.of("reference." + operation, REFERENCE, title)));
            }
        });
    }

    private void start(String name, String needed, List<String> command, Consumer<TimedProgram> use) {
        if (needed.isEmpty()) {
            results.skip(name, reason(name));
            return;
        }
        TimedProgram program = new TimedProgram(command);
        programs.add(program);
        use.accept(program);
    }

    /** What scripts/bench says about its absence. */
    private static String reason(String name) {
        String said = Settings.said("reason." + name.replace(' ', '-'));
        return said.isEmpty() ? "not there" : said;
    }

    private void version(String name, List<String> command) {
        try {
            Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
            versions.put(name, new String(process.getInputStream().readAllBytes()).strip().replaceFirst("^[A-Za-z]+ ", ""));
        } catch (IOException e) {
            results.skip(name, e.getMessage());
        }
    }

    @Override
    public void close() throws IOException {
        for (TimedProgram program : programs) {
            program.close();
        }
    }
}
