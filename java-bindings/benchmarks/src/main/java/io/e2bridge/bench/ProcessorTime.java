package io.e2bridge.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.LongStream;

/**
 * Processor time of this JVM, of the engine's processes and of all its sandboxes, ended ones included: the last is what the engine's
 * control group was charged with, because nobody gets the time of a process that dies with its pid namespace. Work that the kernel
 * puts off to threads of its own, such as removing a network namespace, is not in it.
 */
final class ProcessorTime {
    private static final double TICK_MICROS = 10_000;
    /** The engine's groups are named so, with the sandboxes' groups below them. */
    private static final String ENGINE = "e2bridge-";
    /** In /proc/PID/stat, counted behind the name: user and system. */
    private static final int USER = 11;

    private ProcessorTime() {}

    /** {@return microseconds until now; NaN where no control group counts them} */
    static double used() {
        double micros = 0;
        Set<Path> groups = new TreeSet<>();
        long self = ProcessHandle.current().pid();
        for (long process : LongStream.concat(LongStream.of(self), ProcessHandle.current().descendants().mapToLong(ProcessHandle::pid)).toArray()) {
            try {
                Path group = engineGroup(process);
                if (group == null) {
                    micros += ownTicks(process) * TICK_MICROS;
                } else {
                    groups.add(group);
                }
            } catch (IOException e) {
                // It ended since it was listed.
            }
        }
        for (Path group : groups) {
            micros += charged(group);
        }
        return groups.isEmpty() ? Double.NaN : micros;
    }

    /** The engine's group that counts this process's time; null for one that is in no sandbox. */
    private static Path engineGroup(long process) throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/" + process + "/cgroup"))) {
            String[] parts = line.split(":", 3);
            int name = parts[2].lastIndexOf("/" + ENGINE);
            boolean counts = parts[1].isEmpty() || Set.of(parts[1].split(",")).contains("cpuacct");
            if (counts && name >= 0) {
                int end = parts[2].indexOf('/', name + 1);
                return Path.of("/sys/fs/cgroup/" + parts[1] + (end < 0 ? parts[2] : parts[2].substring(0, end)));
            }
        }
        return null;
    }

    private static long ownTicks(long process) throws IOException {
        String line = Files.readString(Path.of("/proc/" + process + "/stat"));
        String[] fields = line.substring(line.lastIndexOf(')') + 2).split(" ");
        return Long.parseLong(fields[USER]) + Long.parseLong(fields[USER + 1]);
    }

    private static double charged(Path group) {
        try {
            Path first = group.resolve("cpuacct.usage");
            if (Files.exists(first)) {
                return Long.parseLong(Files.readString(first).strip()) / 1e3;
            }
            return Files.readAllLines(group.resolve("cpu.stat")).stream()
                    .filter(line -> line.startsWith("usage_usec "))
                    .mapToDouble(line -> Double.parseDouble(line.substring("usage_usec ".length())))
                    .sum();
        } catch (IOException e) {
            return Double.NaN;
        }
    }
}
