package io.e2bridge;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.BooleanSupplier;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/** What is there on the machine: processes, control groups, descriptors, threads, files. */
public final class Census {
    private static final Pattern ENGINE = Pattern.compile("e2bridge-[a-z0-9]+");

    private Census() {}

    /** {@return the descendants of a process: number to start time, which together never repeat} */
    public static Map<Long, String> descendants(long ancestor) {
        Map<Long, Long> parents = new HashMap<>();
        Map<Long, String> starts = new HashMap<>();
        try (Stream<Path> processes = Files.list(Path.of("/proc"))) {
            processes.filter(path -> path.getFileName().toString().matches("\\d+")).forEach(path -> {
                String[] fields = stat(path);
                if (fields != null) {
                    long pid = Long.parseLong(path.getFileName().toString());
                    parents.put(pid, Long.parseLong(fields[1]));
                    starts.put(pid, fields[19]);
                }
            });
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        Map<Long, String> found = new TreeMap<>();
        ArrayDeque<Long> queue = new ArrayDeque<>(Set.of(ancestor));
        while (!queue.isEmpty()) {
            long parent = queue.remove();
            parents.forEach((pid, itsParent) -> {
                if (itsParent == parent && found.putIfAbsent(pid, starts.get(pid)) == null) {
                    queue.add(pid);
                }
            });
        }
        return found;
    }

    /** {@return those of the processes that are still there, zombies of others' included} */
    public static Set<Long> alive(Map<Long, String> processes) {
        Set<Long> alive = new TreeSet<>();
        processes.forEach((pid, start) -> {
            String[] fields = stat(Path.of("/proc", pid.toString()));
            if (fields != null && fields[19].equals(start) && !fields[0].equals("Z")) {
                alive.add(pid);
            }
        });
        return alive;
    }

    /** {@return every process of the machine} */
    public static Set<Long> processes() {
        try (Stream<Path> entries = Files.list(Path.of("/proc"))) {
            Set<Long> found = new TreeSet<>();
            entries.map(path -> path.getFileName().toString()).filter(name -> name.matches("\\d+")).map(Long::valueOf).forEach(found::add);
            return found;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return true when the process has ended and its parent has not taken note} */
    public static boolean zombie(long pid) {
        String[] fields = stat(Path.of("/proc", Long.toString(pid)));
        return fields == null || fields[0].equals("Z");
    }

    /** {@return the parent of a process; -1 when it is gone} */
    public static long parent(long pid) {
        String[] fields = stat(Path.of("/proc", Long.toString(pid)));
        return fields == null ? -1 : Long.parseLong(fields[1]);
    }

    /** {@return the file that a process executes; empty when it is gone or has none} */
    public static String program(long pid) {
        try {
            return Files.readSymbolicLink(Path.of("/proc", Long.toString(pid), "exe")).toString();
        } catch (IOException gone) {
            return "";
        }
    }

    /** {@return the host's user id that a process has; -1 when it is gone} */
    public static long user(long pid) {
        try {
            for (String line : Files.readAllLines(Path.of("/proc", Long.toString(pid), "status"))) {
                if (line.startsWith("Uid:")) {
                    return Long.parseLong(line.split("\\s+")[1]);
                }
            }
        } catch (IOException gone) {
            // Nobody's, then.
        }
        return -1;
    }

    /** The fields of stat after the name; null when the process is gone. */
    private static String[] stat(Path process) {
        try {
            String stat = Files.readString(process.resolve("stat"));
            return stat.substring(stat.lastIndexOf(')') + 2).split(" ");
        } catch (IOException gone) {
            return null;
        }
    }

    /** {@return the names of the engines that put the processes into control groups} Other engines may run on the machine. */
    public static Set<String> engines(Map<Long, String> processes) {
        Set<String> names = new TreeSet<>();
        for (long pid : processes.keySet()) {
            try {
                Matcher matcher = ENGINE.matcher(Files.readString(Path.of("/proc", Long.toString(pid), "cgroup")));
                while (matcher.find()) {
                    names.add(matcher.group());
                }
            } catch (IOException gone) {
                // Then its group goes too.
            }
        }
        return names;
    }

    /** {@return the control groups of the engines} */
    public static Set<String> controlGroups(Set<String> engines) {
        Set<String> groups = new TreeSet<>();
        Path root = Path.of("/sys/fs/cgroup");
        if (Files.isDirectory(root)) {
            walk(root, groups);
        }
        groups.removeIf(group -> engines.stream().noneMatch(group::contains));
        return groups;
    }

    private static void walk(Path directory, Set<String> groups) {
        groups.add(directory.toString());
        try (Stream<Path> entries = Files.list(directory)) {
            entries.filter(entry -> Files.isDirectory(entry, java.nio.file.LinkOption.NOFOLLOW_LINKS)).forEach(entry -> walk(entry, groups));
        } catch (NoSuchFileException goneMeanwhile) {
            groups.remove(directory.toString());
        } catch (IOException | UncheckedIOException unreadable) {
            // What nobody may list is not ours.
            groups.remove(directory.toString());
        }
    }

    /** {@return open descriptors of this JVM} */
    public static int descriptors() {
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            return (int) descriptors.count();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return threads of this JVM as the kernel counts them} */
    public static int threads() {
        try (Stream<Path> threads = Files.list(Path.of("/proc/self/task"))) {
            return (int) threads.count();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return files that bear the name of one of the engines, where such files may be} */
    public static Set<String> files(Set<String> engines) {
        Set<String> names = new TreeSet<>();
        Set<String> directories = new TreeSet<>(List.of(System.getProperty("java.io.tmpdir"), "/tmp", "/dev/shm", "/run", "/run/e2bridge"));
        // Where an ordinary user without such a variable has them.
        directories.add("/tmp/e2bridge-" + user(ProcessHandle.current().pid()));
        String runtime = System.getenv("XDG_RUNTIME_DIR");
        if (runtime != null) {
            directories.add(runtime);
            directories.add(runtime + "/e2bridge");
        }
        for (String directory : directories) {
            if (Files.isDirectory(Path.of(directory)) && Files.isReadable(Path.of(directory))) {
                try (Stream<Path> entries = Files.list(Path.of(directory))) {
                    entries.map(Path::toString)
                            .filter(name -> engines.stream().anyMatch(engine -> name.contains(engine.substring("e2bridge-".length()))))
                            .forEach(names::add);
                } catch (IOException e) {
                    throw new UncheckedIOException(e);
                }
            }
        }
        return names;
    }

    /** {@return true when the condition came true in time} */
    public static boolean within(long milliseconds, BooleanSupplier condition) throws InterruptedException {
        long end = System.nanoTime() + milliseconds * 1_000_000;
        while (!condition.getAsBoolean()) {
            if (System.nanoTime() > end) {
                return false;
            }
            Thread.sleep(10);
        }
        return true;
    }
}
