package io.e2bridge.chaos;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.TemplateSummary;
import io.e2bridge.internal.NativeCalls;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.util.List;
import java.util.logging.Level;
import java.util.logging.Logger;

/** The JVM under test of {@link KillRounds}: a load, and lines that say when to rest and to tell. */
public final class KillVictim {
    private static final Logger EVENTS = Logger.getLogger("io.e2bridge");

    private KillVictim() {}

    /**
     * Answers each line of the standard input with a line of JSON.
     *
     * @param arguments data directory, seed, threads
     */
    public static void main(String[] arguments) throws Exception {
        EVENTS.setLevel(Level.OFF);
        E2BConfig config = E2BConfig.builder().dataDirectory(Path.of(arguments[0])).build();
        // What the library keeps for as long as it is loaded is there from now on.
        E2B.open(config).close();
        System.out.println("{\"loaded\": true}");
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        lines.readLine();
        E2B client = E2B.open(config);
        List<String> templates = client.listE2BTemplates().templates().stream()
                .filter(TemplateSummary::available)
                .map(TemplateSummary::templateName)
                .filter(List.of("base", "python", "node")::contains)
                .sorted()
                .toList();
        Load load = new Load(client, Long.parseLong(arguments[1]), Integer.parseInt(arguments[2]), templates);
        load.start();
        System.out.println("{\"ready\": true}");
        for (String line; (line = lines.readLine()) != null;) {
            switch (line) {
                case "rest" -> {
                    boolean ended = load.pause();
                    load.clear();
                    String probe = probe(client);
                    // The first one may meet a supervisor that somebody has stopped.
                    tell(load, ended, probe.contains("UNAVAILABLE") && probe(client).equals("ok") ? "second: " + probe : probe);
                }
                case "go" -> {
                    load.resume();
                    System.out.println("{}");
                }
                case "end" -> {
                    load.closing();
                    load.resume();
                    Thread.sleep(100);
                    client.close();
                    boolean ended = load.stop();
                    tell(load, ended, NativeCalls.liveCounts().toString());
                }
                default -> throw new IllegalArgumentException(line);
            }
        }
    }

    private static void tell(Load load, boolean ended, String probe) {
        ObjectNode report = load.report();
        report.put("ended", ended);
        report.put("late", String.join(", ", load.late()));
        report.put("probe", probe);
        System.out.println(report);
    }

    /** A whole life; "ok", or what does not work. */
    private static String probe(E2B client) {
        try {
            String sandbox = client.createE2BSandbox("probe", "base", 60, 64, 1).sandboxId();
            String two = client.runE2BCode(sandbox, "javascript", "1 + 1", null, 20).result();
            String said = client.executeE2BProcess(sandbox, "echo said", null, 20, true).stdout();
            client.terminateE2BSandbox(sandbox, true);
            return "2".equals(two) && "said\n".equals(said) ? "ok" : two + " " + said;
        } catch (RuntimeException e) {
            return e.toString();
        }
    }
}
