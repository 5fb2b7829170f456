package io.e2bridge.bench;

import io.e2bridge.E2B;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** A JVM started for one purpose: what it costs to begin. */
final class FreshJvm implements Measurement {
    private static final String NOTHING = "nothing";
    private static final String OPEN_CLOSE = "open-close";
    private static final String FIRST_RESULT = "first-result";

    private final Row nothing;
    private final Row openClose;
    private final Row whole;
    private final Row open;
    private final Row first;

    FreshJvm(Row nothing, Row openClose, Row whole, Row open, Row first) {
        this.nothing = nothing;
        this.openClose = openClose;
        this.whole = whole;
        this.open = open;
        this.first = first;
    }

    @Override
    public List<Row> rows() {
        return List.of(nothing, openClose, whole, open, first);
    }

    @Override
    public void block(Effort effort, Results results) throws Exception {
        results.series(nothing.id()).add(new double[] {lifetime(NOTHING, Map.of(), results)});
        results.series(openClose.id()).add(new double[] {lifetime(OPEN_CLOSE, Map.of(), results)});
        results.series(whole.id()).add(new double[] {lifetime(FIRST_RESULT, Map.of(0, open.id(), 1, first.id()), results)});
    }

    /** From the start of the JVM until its end, in µs; what it prints goes to the rows by position. */
    private static double lifetime(String task, Map<Integer, String> printed, Results results) throws Exception {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(), "--enable-native-access=ALL-UNNAMED", "-cp",
                System.getProperty("java.class.path"), FreshJvm.class.getName(), task));
        long begin = System.nanoTime();
        Process process = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        String output = new String(process.getInputStream().readAllBytes());
        int status = process.waitFor();
        double microseconds = (System.nanoTime() - begin) / 1e3;
        if (status != 0) {
            throw new IOException("the JVM for " + task + " ended with " + status);
        }
        String[] figures = output.strip().split(" ");
        printed.forEach((position, id) -> results.series(id).add(new double[] {Double.parseDouble(figures[position])}));
        return microseconds;
    }

    /** What the fresh JVM does; prints microseconds since its main method began. */
    public static void main(String[] arguments) {
        long begin = System.nanoTime();
        switch (arguments[0]) {
            case NOTHING -> System.out.println("0");
            case OPEN_CLOSE -> E2B.open().close();
            case FIRST_RESULT -> firstResult(begin);
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void firstResult(long begin) {
        try (E2B e2b = E2B.open()) {
            long opened = System.nanoTime();
            String sandbox = e2b.createE2BSandbox("first").sandboxId();
            Snippet.JAVASCRIPT.check(e2b.runE2BCode(sandbox, Snippet.JAVASCRIPT.language(), Snippet.JAVASCRIPT.code()));
            System.out.println((opened - begin) / 1e3 + " " + (System.nanoTime() - begin) / 1e3);
        }
    }
}
