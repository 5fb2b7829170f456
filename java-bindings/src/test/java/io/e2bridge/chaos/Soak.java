package io.e2bridge.chaos;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.Census;
import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.TemplateSummary;
import io.e2bridge.internal.NativeCalls;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.LocalDate;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.locks.ReentrantLock;
import java.util.logging.Level;
import java.util.logging.Logger;

/**
 * Holds a mixed load with faults for as long as asked. From time to time the load rests and everything is counted: what grows from
 * rest to rest leaks.
 */
public final class Soak {
    /** What is done to whom, and every how many seconds. */
    private enum Fault {
        KILL_PROGRAM(2), KILL_INIT(5), KILL_ZYGOTE(13), KILL_SUPERVISOR(17), STOP_ZYGOTE(29);

        final int seconds;

        Fault(int seconds) {
            this.seconds = seconds;
        }

        String words() {
            return switch (this) {
                case KILL_PROGRAM -> "a program or worker in a sandbox killed";
                case KILL_INIT -> "an init killed";
                case KILL_ZYGOTE -> "a zygote killed";
                case KILL_SUPERVISOR -> "the supervisor killed";
                case STOP_ZYGOTE -> "a zygote stopped for half a second";
            };
        }
    }

    /** Counts at a rest. */
    private record Sample(
            double minutes, long calls, long jvmKib, long heapKib, long supervisorKib, int descriptors, int supervisorDescriptors, int threads,
            int processes, int groups, long buffers, long liveCalls) {}

    private static final int THREADS = 8;
    private static final int MOST_RESTS = 15;
    private static final Logger EVENTS = Logger.getLogger("io.e2bridge");

    private final E2B client;
    private final Load load;
    private final Residue residue;
    private final Random random;
    private final Map<Fault, Integer> faults = new EnumMap<>(Fault.class);
    private final ReentrantLock faultsMayHappen = new ReentrantLock();
    private final List<Sample> samples = new ArrayList<>();
    private final List<String> failures = new ArrayList<>();
    private final long began = System.nanoTime();
    private double restSeconds;
    private double loadSeconds;

    private Soak(E2B client, Residue residue, List<String> templates, long seed) {
        this.client = client;
        this.residue = residue;
        random = new Random(seed);
        load = new Load(client, seed, THREADS, templates);
    }

    /**
     * Runs and ends with status 0 when nothing hung, leaked, grew or answered wrongly.
     *
     * @param arguments how many seconds, the seed (0 takes one of the clock), and a file for the report or "-"
     */
    public static void main(String[] arguments) throws Exception {
        int seconds = Integer.parseInt(arguments[0]);
        long seed = Long.parseLong(arguments[1]) != 0 ? Long.parseLong(arguments[1]) : System.currentTimeMillis() % 1_000_000_007;
        System.out.println("soak: " + seconds + " s, seed " + seed);
        EVENTS.setLevel(Level.OFF);
        Path directory = Files.createTempDirectory("e2bridge-soak");
        int status;
        try {
            status = run(seconds, seed, directory, arguments[2]);
        } finally {
            try (var files = Files.walk(directory)) {
                files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
            }
        }
        System.exit(status);
    }

    private static int run(int seconds, long seed, Path directory, String report) throws Exception {
        E2BConfig config = E2BConfig.builder().dataDirectory(directory).build();
        // What the library keeps for as long as it is loaded is there from now on.
        E2B.open(config).close();
        Residue residue = Residue.here(directory);
        E2B client = E2B.open(config);
        List<String> templates = client.listE2BTemplates().templates().stream()
                .filter(TemplateSummary::available)
                .map(TemplateSummary::templateName)
                .filter(List.of("base", "python", "node")::contains)
                .sorted()
                .toList();
        Soak soak = new Soak(client, residue, templates, seed);
        soak.hold(seconds);
        if (!soak.load.stop()) {
            soak.failures.add("calls hang: " + soak.load.late());
        }
        soak.networksGone();
        client.close();
        List<Residue.Item> left = residue.after(10_000);
        left.forEach(item -> soak.failures.add("left: " + item));
        soak.load.defects().forEach(soak.failures::add);
        JsonNode counts = NativeCalls.liveCounts();
        if (!counts.toString().equals("{\"clients\":0,\"calls\":0,\"buffers\":0,\"sandboxes\":0}")) {
            soak.failures.add("the library's counters after close: " + counts);
        }
        soak.judgeGrowth();
        String page = soak.page(seconds, seed, templates, left, counts);
        System.out.println(page);
        if (!report.equals("-")) {
            Files.writeString(Path.of(report), page);
        }
        soak.failures.forEach(failure -> System.out.println("soak: FAILED " + failure));
        System.out.println("soak: " + soak.load.calls() + " calls, " + soak.failures.size() + " failures");
        return soak.failures.isEmpty() ? 0 : 1;
    }

    private void hold(int seconds) throws Exception {
        int interval = Math.max(5, seconds / MOST_RESTS);
        Thread faulty = Thread.ofPlatform().daemon().name("faults").start(this::disturb);
        load.start();
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        boolean last = false;
        while (!last) {
            long from = System.nanoTime();
            long until = Math.min(end, from + interval * 1_000_000_000L);
            while (System.nanoTime() < until) {
                Thread.sleep(250);
                residue.look();
                List<String> late = load.late();
                if (!late.isEmpty()) {
                    failures.add("late: " + late);
                    return;
                }
            }
            last = System.nanoTime() >= end;
            if (last) {
                faulty.interrupt();
                faulty.join();
            }
            rest(from);
        }
    }

    /** Everything ends, the pools are filled, and all is counted. */
    private void rest(long loadBegan) throws Exception {
        faultsMayHappen.lock();
        try {
            if (!load.pause()) {
                failures.add("calls do not end: " + load.late());
                return;
            }
            long resting = System.nanoTime();
            loadSeconds += (resting - loadBegan) / 1e9;
            load.clear();
            poolsFilled();
            residue.between(5_000).forEach(item -> failures.add("left at a rest: " + item));
            // What is free is not what leaks.
            System.gc();
            Kernel.trimHeap();
            samples.add(sample());
            Sample now = samples.getLast();
            System.out.printf(Locale.ROOT, "soak: %5.1f min, %d calls, JVM %d MiB, %d descriptors, %d threads, faults %s%n",
                    now.minutes, now.calls, now.jvmKib >> 10, now.descriptors, now.threads, faults);
            restSeconds += (System.nanoTime() - resting) / 1e9;
            load.resume();
        } finally {
            faultsMayHappen.unlock();
        }
    }

    private void poolsFilled() throws Exception {
        client.createE2BSandbox("rest", "base", 60, null, null);
        load.clear();
        boolean filled = Census.within(10_000, () -> {
            for (JsonNode pool : client.monitorE2BHealth(false).pools()) {
                if (pool.path("active").asBoolean(true) && pool.path("ready").asInt() < pool.path("target").asInt()) {
                    return false;
                }
            }
            return true;
        });
        if (!filled) {
            failures.add("the pools are not filled: " + client.monitorE2BHealth(false).pools());
        }
        // Threads for the calls of virtual threads end when idle for two seconds.
        Census.within(4_000, () -> !threadNames().contains("e2bridge-call"));
    }

    private static String threadNames() {
        StringBuilder names = new StringBuilder();
        Thread.getAllStackTraces().keySet().forEach(thread -> names.append(thread.getName()).append(' '));
        return names.toString();
    }

    private Sample sample() {
        long self = ProcessHandle.current().pid();
        Map<Long, String> below = Census.descendants(self);
        long supervisor = supervisor(below);
        JsonNode counts = NativeCalls.liveCounts();
        Runtime heap = Runtime.getRuntime();
        return new Sample(
                (System.nanoTime() - began) / 60e9,
                load.calls(),
                resident(self),
                heap.totalMemory() - heap.freeMemory() >> 10,
                resident(supervisor),
                Census.descriptors(),
                descriptors(supervisor),
                Census.threads(),
                below.size(),
                Census.controlGroups(residue.engines()).size(),
                counts.path("buffers").asLong(),
                counts.path("calls").asLong());
    }

    private static long resident(long pid) {
        try {
            for (String line : Files.readAllLines(Path.of("/proc", Long.toString(pid), "status"))) {
                if (line.startsWith("VmRSS:")) {
                    return Long.parseLong(line.replaceAll("\\D", ""));
                }
            }
        } catch (IOException gone) {
            // Nothing, then.
        }
        return 0;
    }

    /** All but networks, of which those of sandboxes that have ended rest for some seconds, to be used again. */
    private static int descriptors(long pid) {
        return (int) targets(pid).stream().filter(target -> !target.startsWith("net:")).count();
    }

    private static List<String> targets(long pid) {
        List<String> targets = new ArrayList<>();
        try (var entries = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
            for (Path entry : (Iterable<Path>) entries::iterator) {
                try {
                    targets.add(Files.readSymbolicLink(entry).toString());
                } catch (NoSuchFileException closed) {
                    // It is gone, then.
                }
            }
        } catch (IOException gone) {
            // Nothing, then.
        }
        return targets;
    }

    private static long supervisor(Map<Long, String> below) {
        return below.keySet().stream()
                .filter(pid -> kind(pid).equals("SUPERVISOR"))
                .findFirst()
                .orElse(0L);
    }

    /** Those that rested have gone: one is left for each sandbox in a pool, beside the templates' own. */
    private void networksGone() throws Exception {
        if (!Census.within(10_000, () -> idleNetworks() <= 0)) {
            failures.add(idleNetworks() + " networks more than processes are left in the supervisor");
        }
    }

    private static long idleNetworks() {
        long supervisor = supervisor(Census.descendants(ProcessHandle.current().pid()));
        long networks = targets(supervisor).stream().filter(target -> target.startsWith("net:")).count();
        return networks - Census.descendants(supervisor).size();
    }

    // Faults

    private void disturb() {
        Map<Fault, Long> due = new EnumMap<>(Fault.class);
        for (Fault fault : Fault.values()) {
            due.put(fault, System.nanoTime() + fault.seconds * 1_000_000_000L);
        }
        while (!Thread.interrupted()) {
            try {
                Thread.sleep(100);
            } catch (InterruptedException e) {
                return;
            }
            faultsMayHappen.lock();
            try {
                for (Fault fault : Fault.values()) {
                    if (System.nanoTime() >= due.get(fault)) {
                        due.put(fault, System.nanoTime() + (long) (fault.seconds * (0.5 + random.nextDouble()) * 1e9));
                        hit(fault);
                    }
                }
            } finally {
                faultsMayHappen.unlock();
            }
        }
    }

    private void hit(Fault fault) {
        String wanted = fault.name().replaceAll("KILL_|STOP_", "");
        List<Long> found = new ArrayList<>();
        for (long pid : Census.descendants(ProcessHandle.current().pid()).keySet()) {
            if (kind(pid).equals(wanted)) {
                found.add(pid);
            }
        }
        if (found.isEmpty()) {
            return;
        }
        long victim = found.get(random.nextInt(found.size()));
        faults.merge(fault, 1, Integer::sum);
        if (fault == Fault.STOP_ZYGOTE) {
            Kernel.signal(victim, Kernel.SIGSTOP);
            java.util.concurrent.locks.LockSupport.parkNanos(500_000_000);
            Kernel.signal(victim, Kernel.SIGCONT);
        } else {
            Kernel.signal(victim, Kernel.SIGKILL);
        }
    }

    private static String kind(long pid) {
        return KillRounds.kind(pid, ProcessHandle.current().pid());
    }

    // Figures

    /** What may vary between two rests: a pool in the making, a compiler's thread, the heap's edge. */
    private void judgeGrowth() {
        if (samples.size() < 2) {
            return;
        }
        Sample first = samples.getFirst();
        Sample last = samples.getLast();
        grown("resident memory of the JVM, KiB", first.jvmKib, last.jvmKib, 64 << 10);
        grown("resident memory of the supervisor, KiB", first.supervisorKib, last.supervisorKib, 8 << 10);
        grown("descriptors of the JVM", first.descriptors, last.descriptors, 24);
        grown("descriptors of the supervisor", first.supervisorDescriptors, last.supervisorDescriptors, 24);
        grown("threads", first.threads, last.threads, 10);
        grown("processes", first.processes, last.processes, 16);
        grown("control groups", first.groups, last.groups, 48);
        grown("buffers", first.buffers, last.buffers, 0);
        grown("calls", 0, last.liveCalls, 0);
    }

    private void grown(String what, long first, long last, long most) {
        if (last > first + most) {
            failures.add(what + " grew from " + first + " to " + last);
        }
    }

    private String page(int seconds, long seed, List<String> templates, List<Residue.Item> left, JsonNode counts) throws IOException {
        StringBuilder page = new StringBuilder();
        line(page, "# Soak");
        line(page, "");
        line(page, "Made by `scripts/soak --minutes %s --report docs/soak.md`; every number is of that run.", number(seconds / 60.0).replaceFirst("\\.0+$", ""));
        line(page, "");
        line(page, "| | |");
        line(page, "|---|---|");
        line(page, "| date | %s |", LocalDate.now());
        line(page, "| machine | Linux %s, %d processors, %s of memory, Java %s |", System.getProperty("os.version"),
                Runtime.getRuntime().availableProcessors(), memory(), System.getProperty("java.version"));
        line(page, "| load | %d threads, every third a virtual one, on one client; templates %s; seed %d |", THREADS, String.join(", ", templates), seed);
        line(page, "| time | %s min under load, %s min at %d rests |", number(loadSeconds / 60), number(restSeconds / 60), samples.size());
        line(page, "| calls | %d, %s per second under load |", load.calls(), number(load.calls() / loadSeconds));
        line(page, "| calls beyond their time, errors without a proper code, wrong answers, anything left, growth | %d |", failures.size());
        line(page, "| left after close | %s |", left.isEmpty() ? "nothing: no process, namespace, mount, control group, file, descriptor, memory file, thread or shared memory" : left);
        line(page, "| the library's counters after close | `%s` |", counts);
        line(page, "");
        line(page, "## Faults");
        line(page, "");
        line(page, "| fault | times |");
        line(page, "|---|---|");
        for (Fault fault : Fault.values()) {
            line(page, "| %s | %d |", fault.words(), faults.getOrDefault(fault, 0));
        }
        line(page, "| a call cancelled by interrupting its thread | %d |", load.figures().get(Load.Operation.CANCELLED).errors().getOrDefault("CANCELLED", 0L));
        line(page, "");
        line(page, "## Operations");
        line(page, "");
        line(page, "Times are those of the callers, with everybody at work at once and faults in between. `PYTHON` and `NODE` are a create and a first run");
        line(page, "of code; a `SCALE` to 0 ends its sandboxes; a `TERMINATE` without force waits for programs up to 5 s.");
        line(page, "");
        line(page, "| operation | calls | per second | p50, ms | p99, ms | most, ms | errors |");
        line(page, "|---|---|---|---|---|---|---|");
        load.figures().forEach((operation, figures) -> line(page, "| %s | %d | %s | %s | %s | %s | %s |", operation, figures.count(),
                number(figures.count() / loadSeconds), number(figures.percentile(0.5)), number(figures.percentile(0.99)), number(figures.percentile(1)),
                words(figures.errors())));
        line(page, "");
        line(page, "`NOT_FOUND`: the sandbox had been ended by another thread or a fault. `UNAVAILABLE`: a fault hit it during the call. `UNSUPPORTED`: JavaScript");
        line(page, "in a sandbox of python. `CANCELLED`: as asked for.");
        line(page, "");
        line(page, "## Growth");
        line(page, "");
        line(page, "At each rest every sandbox is ended, the pools are filled, and the allocators give back what is free.");
        line(page, "");
        line(page, "| minute | calls | JVM resident, MiB | heap in use, MiB | supervisor resident, MiB | descriptors of the JVM | of the supervisor | threads | processes below the JVM | control groups | buffers | calls in flight |");
        line(page, "|---|---|---|---|---|---|---|---|---|---|---|---|");
        for (Sample one : samples) {
            line(page, "| %s | %d | %s | %s | %s | %d | %d | %d | %d | %d | %d | %d |", number(one.minutes), one.calls, number(one.jvmKib / 1024.0),
                    number(one.heapKib / 1024.0), number(one.supervisorKib / 1024.0), one.descriptors, one.supervisorDescriptors, one.threads, one.processes,
                    one.groups, one.buffers, one.liveCalls);
        }
        return page.toString();
    }

    private static void line(StringBuilder page, String format, Object... values) {
        page.append(values.length == 0 ? format : String.format(Locale.ROOT, format, values)).append('\n');
    }

    private static String number(double value) {
        return String.format(Locale.ROOT, value < 10 ? "%.2f" : value < 100 ? "%.1f" : "%.0f", value);
    }

    private static String words(Map<String, Long> errors) {
        List<String> words = new ArrayList<>();
        new TreeMap<>(errors).forEach((code, count) -> words.add(code + " " + count));
        return String.join(", ", words);
    }

    private static String memory() throws IOException {
        long kib = Long.parseLong(Files.readAllLines(Path.of("/proc/meminfo")).getFirst().replaceAll("\\D", ""));
        return number(kib / 1048576.0) + " GiB";
    }
}
