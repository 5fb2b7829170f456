package io.e2bridge.chaos;

import io.e2bridge.Census;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What clients leave on the machine: processes, namespaces, mounts, control groups, files, descriptors, memory files, threads and
 * shared memory.
 *
 * <p>Other clients may run at the same time, so it counts only what belongs to the process under test: what was ever seen below it,
 * what bears the name of one of its engines, what is owned by a host id of one of them, what is in the directories it was given. Call
 * {@link #look()} while clients run: what comes and goes between two looks is still found by name and by id.
 */
public final class Residue {
    /** One thing that is left. */
    public record Item(String kind, String what) {
        @Override
        public String toString() {
            return kind + ": " + what;
        }
    }

    private static final Pattern RECORD = Pattern.compile(".*/e2bridge[^/]*/([a-z0-9]+)\\.json");
    private static final Pattern IDS = Pattern.compile("\"ids_base\":(\\d+),\"ids_count\":(\\d+)");
    private static final Pattern NAMESPACE = Pattern.compile("(user|pid|mnt|net|ipc|uts|cgroup|time):\\[\\d+]");

    private final long root;
    private final List<Path> directories;
    private final Map<Long, String> processes = new TreeMap<>();
    private final Set<String> engines = new TreeSet<>();
    private final Map<String, long[]> ids = new TreeMap<>();
    private final Set<Long> theirs;
    private final Map<String, Integer> descriptorsBefore;
    private final Map<String, Integer> threadsBefore;
    private final Set<String> namespacesBefore;
    private final Set<String> mountsBefore;
    private final Set<String> filesBefore;
    private final Set<String> sharedBefore;

    private Residue(long root, List<Path> directories) {
        this.root = root;
        this.directories = directories;
        theirs = new HashSet<>(Census.descendants(root).keySet());
        descriptorsBefore = descriptors();
        threadsBefore = threads();
        namespacesBefore = namespaces(Set.of(root));
        mountsBefore = mounts();
        filesBefore = files();
        sharedBefore = sharedMemory().keySet();
    }

    /**
     * Remembers what is there now.
     *
     * @param root the process whose clients are watched; it may end meanwhile
     * @param directories where everything that is new and not the store of templates counts: data and temporary directories of its own
     */
    public static Residue of(long root, Path... directories) {
        return new Residue(root, List.of(directories));
    }

    /** As {@link #of(long, Path...)} for this JVM. */
    public static Residue here(Path... directories) {
        return of(ProcessHandle.current().pid(), directories);
    }

    /** {@return the engines that were seen, as {@code e2bridge-<name>}} */
    public Set<String> engines() {
        return Collections.unmodifiableSet(engines);
    }

    /** Takes note of what runs below the process now. */
    public void look() {
        Map<Long, String> below = Census.descendants(root);
        below.keySet().removeAll(theirs);
        processes.putAll(below);
        engines.addAll(Census.engines(below));
        for (long pid : below.keySet()) {
            for (String target : links(pid)) {
                Matcher matcher = RECORD.matcher(target);
                if (matcher.matches()) {
                    engines.add("e2bridge-" + matcher.group(1));
                    learnIds(matcher.group(1), Path.of(target));
                }
            }
        }
    }

    private void learnIds(String engine, Path record) {
        if (ids.containsKey(engine)) {
            return;
        }
        try {
            Matcher matcher = IDS.matcher(Files.readString(record));
            if (matcher.find()) {
                ids.put(engine, new long[] {Long.parseLong(matcher.group(1)), Long.parseLong(matcher.group(2))});
            }
        } catch (IOException gone) {
            // Then its owner has ended properly.
        }
    }

    /** Waits until nothing is left, at most so long; answers what is. To be called when every client is closed or its process dead. */
    public List<Item> after(long milliseconds) throws InterruptedException {
        return until(milliseconds, this::left);
    }

    /** As {@link #after}, while a client lives and has no sandbox but those of its pools: nothing of its dead supervisors may be left. */
    public List<Item> between(long milliseconds) throws InterruptedException {
        return until(milliseconds, this::superfluous);
    }

    private static List<Item> until(long milliseconds, java.util.function.Supplier<List<Item>> found) throws InterruptedException {
        long end = System.nanoTime() + milliseconds * 1_000_000;
        while (true) {
            List<Item> items = found.get();
            if (items.isEmpty() || System.nanoTime() > end) {
                return items;
            }
            Thread.sleep(20);
        }
    }

    private List<Item> left() {
        look();
        List<Item> items = new ArrayList<>();
        Set<Long> alive = alive();
        alive.forEach(pid -> items.add(new Item("process", describe(pid))));
        Set<Long> scope = new TreeSet<>(alive);
        scope.add(root);
        Set<String> spaces = namespaces(scope);
        spaces.removeAll(namespacesBefore);
        spaces.forEach(space -> items.add(new Item("namespace", space)));
        added(mountsBefore, mounts()).forEach(mount -> items.add(new Item("mount", mount)));
        Census.controlGroups(engines).forEach(group -> items.add(new Item("control group", group)));
        added(filesBefore, files()).forEach(file -> items.add(new Item("file", file)));
        more(descriptorsBefore, descriptors()).forEach((name, more) ->
                items.add(new Item(name.startsWith("/memfd:") ? "memory file" : "descriptor", more + " x " + name)));
        more(threadsBefore, threads()).forEach((name, more) -> items.add(new Item("thread", more + " x " + name)));
        sharedMemory().forEach((segment, creator) -> {
            if (!sharedBefore.contains(segment) && (creator == root || seen(creator) || own(creator))) {
                items.add(new Item("shared memory", segment));
            }
        });
        return items;
    }

    private List<Item> superfluous() {
        look();
        Map<Long, String> below = Census.descendants(root);
        List<Item> items = new ArrayList<>();
        for (long pid : alive()) {
            if (!below.containsKey(pid)) {
                items.add(new Item("process", describe(pid) + " is not below the client any more"));
            }
        }
        Map<Long, String> supervisors = new TreeMap<>();
        for (long pid : below.keySet()) {
            if (Census.parent(pid) == root && Census.program(pid).contains("e2bridge-supervisor")) {
                supervisors.put(pid, "");
            }
        }
        if (supervisors.size() > 1) {
            items.add(new Item("process", "supervisors " + supervisors.keySet()));
        }
        Set<String> current = new TreeSet<>();
        for (long pid : supervisors.keySet()) {
            for (String target : links(pid)) {
                Matcher matcher = RECORD.matcher(target);
                if (matcher.matches()) {
                    current.add("e2bridge-" + matcher.group(1));
                }
            }
        }
        Set<String> dead = new TreeSet<>(engines);
        dead.removeAll(current);
        Census.controlGroups(dead).forEach(group -> items.add(new Item("control group", group)));
        for (String group : Census.controlGroups(current)) {
            Path path = Path.of(group);
            if (current.contains(path.getParent().getFileName().toString()) && members(path).isEmpty()) {
                items.add(new Item("control group", group + " has no process"));
            }
        }
        Census.files(dead).forEach(file -> items.add(new Item("file", file)));
        return items;
    }

    private static String members(Path group) {
        try {
            return Files.readString(group.resolve("cgroup.procs"));
        } catch (IOException gone) {
            return "gone";
        }
    }

    /** What still runs: seen before, or in a control group of an engine, or of one of its ids. */
    private Set<Long> alive() {
        Set<Long> alive = new TreeSet<>(Census.alive(processes));
        for (long pid : Census.processes()) {
            if (pid != root && !theirs.contains(pid) && !alive.contains(pid) && !Census.zombie(pid)) {
                boolean inGroup = !engines.isEmpty() && !Collections.disjoint(Census.engines(Map.of(pid, "")), engines);
                if (inGroup || own(pid)) {
                    alive.add(pid);
                }
            }
        }
        return alive;
    }

    /** A process of that number was seen, and no other has the number now. */
    private boolean seen(long pid) {
        String start = processes.get(pid);
        return start != null && (Census.zombie(pid) || Census.alive(Map.of(pid, start)).contains(pid));
    }

    private boolean own(long pid) {
        long user = Census.user(pid);
        return ids.values().stream().anyMatch(range -> range[0] <= user && user < range[0] + range[1]);
    }

    private static String describe(long pid) {
        try {
            String stat = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
            String command = Files.readString(Path.of("/proc", Long.toString(pid), "cmdline")).replace('\0', ' ').strip();
            return stat.substring(0, stat.lastIndexOf(')') + 3) + " parent " + Census.parent(pid) + " " + command;
        } catch (IOException gone) {
            return pid + ", just gone";
        }
    }

    // What there is

    private static List<String> links(long pid) {
        List<String> targets = new ArrayList<>();
        try (Stream<Path> entries = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
            entries.forEach(entry -> {
                try {
                    targets.add(Files.readSymbolicLink(entry).toString());
                } catch (IOException gone) {
                    // Closed meanwhile.
                }
            });
        } catch (IOException gone) {
            // The process has ended.
        }
        return targets;
    }

    /** Descriptors of the process by what they are; numbers of sockets and pipes say nothing. */
    private Map<String, Integer> descriptors() {
        Map<String, Integer> found = new TreeMap<>();
        for (String target : links(root)) {
            // The listing itself, and what the JVM reads when it likes.
            if (!target.matches("/proc/\\d+/.*") && !target.endsWith(".jar") && !target.contains("/lib/")) {
                found.merge(target.replaceAll("(socket|pipe):\\[\\d+]", "$1"), 1, Integer::sum);
            }
        }
        return found;
    }

    /** Threads of the engine; those of the JVM come and go as it likes. */
    private Map<String, Integer> threads() {
        Map<String, Integer> found = new TreeMap<>();
        try (Stream<Path> threads = Files.list(Path.of("/proc", Long.toString(root), "task"))) {
            threads.forEach(thread -> {
                try {
                    String name = Files.readString(thread.resolve("comm")).strip();
                    if (name.startsWith("e2b")) {
                        found.merge(name, 1, Integer::sum);
                    }
                } catch (IOException gone) {
                    // Ended meanwhile.
                }
            });
        } catch (IOException gone) {
            // The process has ended.
        }
        return found;
    }

    /** Namespaces of the processes, those that they have open, and those that are mounted. */
    private static Set<String> namespaces(Set<Long> pids) {
        Set<String> found = new TreeSet<>();
        for (long pid : pids) {
            try (Stream<Path> entries = Files.list(Path.of("/proc", Long.toString(pid), "ns"))) {
                for (Path entry : (Iterable<Path>) entries::iterator) {
                    found.add(Files.readSymbolicLink(entry).toString());
                }
            } catch (IOException gone) {
                // The process has ended.
            }
            links(pid).stream().filter(target -> NAMESPACE.matcher(target).matches()).forEach(found::add);
        }
        return found;
    }

    /** Mounts on the host that concern the engine: in the directories, of its names, or of namespaces. */
    private Set<String> mounts() {
        Set<String> found = new TreeSet<>();
        for (String line : lines(Path.of("/proc/self/mountinfo"))) {
            boolean ours = directories.stream().anyMatch(directory -> line.contains(" " + directory + "/") || line.contains(" " + directory + " "))
                    || engines.stream().anyMatch(line::contains);
            if (ours) {
                found.add(line);
            }
        }
        return found;
    }

    /** Files of the engines' names or ids in the places that all share, and everything in the directories but stored templates. */
    private Set<String> files() {
        Set<String> found = new TreeSet<>(Census.files(engines));
        for (Path shared : List.of(Path.of("/tmp"), Path.of("/dev/shm"))) {
            try (Stream<Path> entries = Files.list(shared)) {
                entries.filter(this::owned).map(Path::toString).forEach(found::add);
            } catch (IOException gone) {
                // There is no such place here.
            }
        }
        for (Path directory : directories) {
            try (Stream<Path> entries = Files.walk(directory)) {
                entries.filter(path -> !Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS))
                        .map(Path::toString)
                        .filter(path -> !path.matches(".*/templates/(\\.lock|[a-z0-9][a-z0-9._-]*\\.tar)"))
                        .forEach(found::add);
            } catch (IOException | java.io.UncheckedIOException gone) {
                // Removed with its test.
            }
        }
        return found;
    }

    private boolean owned(Path file) {
        try {
            long user = ((Number) Files.getAttribute(file, "unix:uid", LinkOption.NOFOLLOW_LINKS)).longValue();
            return ids.values().stream().anyMatch(range -> range[0] <= user && user < range[0] + range[1]);
        } catch (IOException gone) {
            return false;
        }
    }

    /** Segments of System V shared memory, and who made each. */
    private static Map<String, Long> sharedMemory() {
        Map<String, Long> found = new HashMap<>();
        for (String line : lines(Path.of("/proc/sysvipc/shm"))) {
            String[] fields = line.strip().split("\\s+");
            if (fields.length > 5 && fields[1].matches("\\d+")) {
                found.put("segment " + fields[1] + " of process " + fields[4], Long.parseLong(fields[4]));
            }
        }
        return found;
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException missing) {
            return List.of();
        }
    }

    private static Set<String> added(Set<String> before, Set<String> now) {
        now.removeAll(before);
        return now;
    }

    private static Map<String, Integer> more(Map<String, Integer> before, Map<String, Integer> now) {
        Map<String, Integer> more = new TreeMap<>();
        now.forEach((name, count) -> {
            int surplus = count - before.getOrDefault(name, 0);
            if (surplus > 0) {
                more.put(name, surplus);
            }
        });
        return more;
    }

    /**
     * Runs a command and says what it and everything below it left.
     *
     * @param command the command and its arguments
     */
    public static void main(String[] command) throws Exception {
        Kernel.adoptOrphans();
        Process process = new ProcessBuilder(command).inheritIO().start();
        Residue residue = of(process.pid());
        while (!process.waitFor(20, java.util.concurrent.TimeUnit.MILLISECONDS)) {
            residue.look();
        }
        residue.adopt();
        List<Item> items = residue.after(5_000);
        items.forEach(item -> System.err.println("residue: " + item));
        System.err.println("residue: " + items.size() + " left by " + residue.engines.size() + " engines seen, status " + process.exitValue());
        System.exit(items.isEmpty() ? process.exitValue() : 70);
    }

    /** Takes note of the orphans that this process has adopted. */
    void adopt() {
        Census.descendants(ProcessHandle.current().pid()).forEach((pid, start) -> {
            if (Census.zombie(pid)) {
                if (ProcessHandle.of(pid).isPresent() && pid != root) {
                    Kernel.reap(pid);
                }
            } else if (pid != root) {
                processes.put(pid, start);
            }
        });
    }
}
