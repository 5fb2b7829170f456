package io.e2bridge.chaos;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.e2bridge.Census;
import io.e2bridge.ChildJvm;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Kills or stops a process of a client under load at a random moment, many times: the JVM, its supervisor, a zygote, an init, a
 * program. After each: every call has ended in its time with a proper error, a new sandbox works, nothing is left.
 */
public final class KillRounds {
    /** Whom to hit, how often of a hundred times. */
    private enum Target {
        JVM(12), SUPERVISOR(22), ZYGOTE(18), INIT(20), PROGRAM(20), STOP_SUPERVISOR(2), STOP_ZYGOTE(3), STOP_INIT(3);

        final int share;

        Target(int share) {
            this.share = share;
        }

        boolean stops() {
            return name().startsWith("STOP");
        }

        static Target any(Random random) {
            int choice = random.nextInt(100);
            for (Target target : values()) {
                choice -= target.share;
                if (choice < 0) {
                    return target;
                }
            }
            return PROGRAM;
        }
    }

    private static final int THREADS = 6;
    /** How long the processes of a dead JVM may take to end. */
    private static final long CLEAN_UP = 10_000;

    private final Random random;
    private final Path directory;
    private final Map<String, Integer> hits = new TreeMap<>();
    private final Map<String, Long> errors = new TreeMap<>();
    private final List<String> failures = new ArrayList<>();
    private long calls;
    private Process jvm;
    private BufferedReader output;
    private Writer input;
    private Residue residue;
    private int lives;
    private JsonNode lastReport;

    private KillRounds(long seed, Path directory) {
        random = new Random(seed);
        this.directory = directory;
    }

    /**
     * Runs the rounds and ends with status 0 when none failed.
     *
     * @param arguments how many rounds, and the seed; 0 takes one of the clock
     */
    public static void main(String[] arguments) throws Exception {
        int rounds = Integer.parseInt(arguments[0]);
        long seed = Long.parseLong(arguments[1]);
        if (seed == 0) {
            seed = System.currentTimeMillis() % 1_000_000_007;
        }
        System.out.println("kill-rounds: " + rounds + " rounds, seed " + seed);
        Kernel.adoptOrphans();
        Path directory = Files.createTempDirectory("e2bridge-kill-rounds");
        KillRounds run = new KillRounds(seed, directory);
        long began = System.nanoTime();
        try {
            run.all(rounds);
        } finally {
            run.destroy();
            try (var files = Files.walk(directory)) {
                files.sorted(java.util.Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
            }
        }
        System.out.println("kill-rounds: hits " + run.hits);
        System.out.println("kill-rounds: " + run.calls + " calls, errors " + run.errors);
        System.out.printf("kill-rounds: %d rounds in %.0f s, %d JVMs, %d failures%n",
                rounds, (System.nanoTime() - began) / 1e9, run.lives, run.failures.size());
        run.failures.forEach(failure -> System.out.println("  " + failure));
        System.exit(run.failures.isEmpty() ? 0 : 1);
    }

    private void all(int rounds) throws Exception {
        for (int round = 1; round <= rounds && failures.size() < 10; round++) {
            if (jvm == null) {
                begin();
            } else {
                say("go", 10);
            }
            round(round);
        }
        if (jvm != null) {
            JsonNode report = say("end", 60);
            check("the end", report, true);
            nothingIsLeft("the end");
            input.close();
            jvm.waitFor(20, TimeUnit.SECONDS);
            nothingIsLeft("after the end");
            jvm = null;
        }
    }

    private void begin() throws Exception {
        Path temporary = Files.createDirectories(directory.resolve("tmp"));
        List<String> command = new ChildJvm()
                .options("-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.io.tmpdir=" + temporary)
                .command(KillVictim.class, directory.resolve("data").toString(), Long.toString(random.nextLong()), Integer.toString(THREADS));
        jvm = new ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start();
        output = jvm.inputReader();
        input = jvm.outputWriter();
        lives++;
        answer(60);
        residue = Residue.of(jvm.pid(), directory);
        say("open", 60);
    }

    private JsonNode say(String line, long seconds) throws Exception {
        input.write(line + "\n");
        input.flush();
        return answer(seconds);
    }

    private JsonNode answer(long seconds) throws Exception {
        CompletableFuture<String> line = CompletableFuture.supplyAsync(() -> {
            try {
                return output.readLine();
            } catch (IOException e) {
                return null;
            }
        });
        try {
            String text = line.get(seconds, TimeUnit.SECONDS);
            if (text == null) {
                throw new IllegalStateException("the JVM has ended");
            }
            return new ObjectMapper().readTree(text);
        } catch (TimeoutException e) {
            // Its threads say where they hang.
            Kernel.signal(jvm.pid(), 3);
            Thread.sleep(1_000);
            StringBuilder dump = new StringBuilder();
            while (output.ready()) {
                dump.append(output.readLine()).append('\n');
            }
            throw new IllegalStateException("no answer within " + seconds + " s\n" + dump, e);
        } catch (ExecutionException e) {
            throw new IllegalStateException(e);
        }
    }

    private void round(int round) throws Exception {
        Target target = Target.any(random);
        Thread.sleep(20 + random.nextInt(380));
        residue.look();
        long victim = choose(target);
        String name = "round " + round + ", " + target;
        if (victim == 0) {
            // Nobody of that kind at this moment.
            hits.merge("none", 1, Integer::sum);
        } else if (target == Target.JVM) {
            boolean stopped = random.nextInt(4) == 0;
            long supervisor = stopped ? choose(Target.SUPERVISOR) : 0;
            if (supervisor != 0) {
                Kernel.signal(supervisor, Kernel.SIGSTOP);
            }
            Kernel.signal(victim, Kernel.SIGKILL);
            hits.merge(supervisor != 0 ? "JVM_WITH_STOPPED_SUPERVISOR" : target.name(), 1, Integer::sum);
            jvm.waitFor();
            count(lastReport);
            nothingIsLeft(name);
            jvm = null;
            lastReport = null;
            return;
        } else {
            hits.merge(target.name(), 1, Integer::sum);
            Kernel.signal(victim, target.stops() ? Kernel.SIGSTOP : Kernel.SIGKILL);
            Thread.sleep(50 + random.nextInt(200));
            // Some stay stopped, for the engine's patience to end.
            if (target.stops() && random.nextInt(4) > 0) {
                Kernel.signal(victim, Kernel.SIGCONT);
            }
        }
        JsonNode report = say("rest", 200);
        lastReport = report;
        check(name, report, target.stops());
        // What a stopped zygote was to make is given up when the supervisor's patience with it ends.
        for (Residue.Item item : residue.between(target.stops() ? 40_000 : 5_000)) {
            fail(name + ": left: " + item);
        }
        if (round % 50 == 0) {
            System.out.println("kill-rounds: " + round + " rounds, " + failures.size() + " failures, hits " + hits);
        }
    }

    private void check(String name, JsonNode report, boolean stopped) {
        if (!report.path("ended").asBoolean() || !report.path("late").asText().isEmpty()) {
            fail(name + ": calls do not end: " + report);
        }
        report.path("defects").forEach(defect -> fail(name + ": " + defect.asText()));
        String probe = report.path("probe").asText();
        boolean fine = probe.equals("ok") || stopped && probe.startsWith("second: ") || name.equals("the end");
        if (!fine) {
            fail(name + ": the next sandbox: " + probe);
        }
        if (name.equals("the end")) {
            count(report);
        }
    }

    private void count(JsonNode report) {
        if (report != null) {
            calls += report.path("calls").asLong();
            report.path("errors").fields().forEachRemaining(one -> errors.merge(one.getKey(), one.getValue().asLong(), Long::sum));
        }
    }

    private void nothingIsLeft(String name) throws InterruptedException {
        residue.adopt();
        for (Residue.Item item : residue.after(CLEAN_UP)) {
            fail(name + ": left: " + item);
        }
    }

    private void fail(String failure) {
        if (!failures.contains(failure)) {
            failures.add(failure);
            System.out.println("kill-rounds: FAILED " + failure);
        }
    }

    /** A process of that kind, by parentage: JVM, supervisor, zygote, init, programs. */
    private long choose(Target target) {
        if (target == Target.JVM) {
            return jvm.pid();
        }
        List<Long> found = new ArrayList<>();
        for (long pid : Census.descendants(jvm.pid()).keySet()) {
            if (kind(pid, jvm.pid()).equals(target.name().replace("STOP_", ""))) {
                found.add(pid);
            }
        }
        return found.isEmpty() ? 0 : found.get(random.nextInt(found.size()));
    }

    /** What a process is to a JVM, by parentage. */
    static String kind(long pid, long jvm) {
        int depth = 0;
        for (long one = pid; one != jvm; one = Census.parent(one)) {
            if (one <= 1 || depth > 50) {
                return "gone";
            }
            depth++;
        }
        return switch (depth) {
            case 1 -> "SUPERVISOR";
            case 2 -> "ZYGOTE";
            case 3 -> "INIT";
            default -> "PROGRAM";
        };
    }

    private void destroy() {
        if (jvm != null) {
            jvm.destroyForcibly();
        }
    }
}
