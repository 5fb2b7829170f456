package io.e2bridge.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.e2bridge.Census;
import io.e2bridge.Engine;
import io.e2bridge.Host;
import java.io.FileInputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The checker sees each kind of residue, and nothing when it is gone. */
class ResidueTest {
    @TempDir
    Path directory;

    private interface Removal {
        void run() throws Exception;
    }

    private interface Planting {
        Removal run() throws Exception;
    }

    /** Watches a client to its end, plants, and expects a finding of the kind that speaks of {@code part}. */
    private void planted(String kind, String part, Planting planting) throws Exception {
        Engine.open().close();
        Residue residue = Residue.here(directory);
        try (Engine engine = Engine.open()) {
            engine.client().executeE2BProcess(engine.sandbox("base"), "true");
            residue.look();
        }
        assertEquals(List.of(), residue.after(3_000));
        assertEquals(1, residue.engines().size());
        Removal removal = planting.run();
        List<Residue.Item> found;
        try {
            found = residue.after(0);
        } finally {
            removal.run();
        }
        assertTrue(found.stream().anyMatch(item -> item.kind().equals(kind) && item.what().contains(part)), kind + " " + part + ": " + found);
        assertEquals(List.of(), residue.after(3_000));
    }

    /** {@return the only engine that was seen} */
    private static String engine(Residue residue) {
        assertEquals(1, residue.engines().size());
        return residue.engines().iterator().next();
    }

    private static Process sleeper(String... before) throws Exception {
        List<String> command = new java.util.ArrayList<>(List.of(before));
        command.addAll(List.of("sleep", "300"));
        return new ProcessBuilder(command).start();
    }

    private static void end(Process process) throws Exception {
        process.destroyForcibly().waitFor();
    }

    @Test
    void aProcess() throws Exception {
        planted("process", "sleep 300", () -> {
            Process process = sleeper();
            return () -> end(process);
        });
    }

    @Test
    void aProcessThatWasSeenAndIsNobodysChildAnyMore() throws Exception {
        Residue residue = Residue.here();
        Process parent = new ProcessBuilder("sh", "-c", "sleep 301 & wait").start();
        assertTrue(Census.within(5_000, () -> Census.descendants(parent.pid()).size() == 1));
        residue.look();
        long orphan = Census.descendants(parent.pid()).keySet().iterator().next();
        end(parent);
        List<Residue.Item> found = residue.after(0);
        Kernel.signal(orphan, Kernel.SIGKILL);
        assertTrue(found.stream().anyMatch(item -> item.kind().equals("process") && item.what().contains("sleep 301")), found.toString());
        assertEquals(List.of(), residue.after(3_000));
    }

    @Test
    void aNamespaceThatADescriptorHolds() throws Exception {
        Host.require(Host.root(), "root, who may make a network namespace without another");
        planted("namespace", "net:[", () -> {
            Process process = sleeper("unshare", "--net");
            Path namespace = Path.of("/proc", Long.toString(process.pid()), "ns", "net");
            Path own = Files.readSymbolicLink(Path.of("/proc/self/ns/net"));
            assertTrue(Census.within(5_000, () -> differs(namespace, own)));
            FileInputStream held = new FileInputStream(namespace.toFile());
            end(process);
            return held::close;
        });
    }

    private static boolean differs(Path link, Path other) {
        try {
            return !Files.readSymbolicLink(link).equals(other);
        } catch (java.io.IOException gone) {
            return false;
        }
    }

    @Test
    void aMount() throws Exception {
        Host.require(Host.root(), "root, who may mount");
        planted("mount", directory.toString(), () -> {
            Path point = Files.createDirectory(directory.resolve("mounted"));
            run("mount", "-t", "tmpfs", "-o", "size=64k", "none", point.toString());
            return () -> {
                run("umount", point.toString());
                Files.delete(point);
            };
        });
    }

    private static void run(String... command) throws Exception {
        assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor(), String.join(" ", command));
    }

    @Test
    void aControlGroupOfItsName() throws Exception {
        Path pids = Path.of("/sys/fs/cgroup/pids");
        Host.require(Host.root() && Files.isDirectory(pids), "root and a pids hierarchy of control groups");
        Residue residue = Residue.here();
        try (Engine engine = Engine.open()) {
            engine.sandbox("base");
            residue.look();
        }
        assertEquals(List.of(), residue.after(3_000));
        Path group = Files.createDirectory(pids.resolve(engine(residue)));
        List<Residue.Item> found = residue.after(0);
        Files.delete(group);
        assertEquals(List.of(new Residue.Item("control group", group.toString())), found);
        assertEquals(List.of(), residue.after(0));
    }

    @Test
    void aFileOfItsName() throws Exception {
        Residue residue = Residue.here();
        try (Engine engine = Engine.open()) {
            engine.sandbox("base");
            residue.look();
        }
        assertEquals(List.of(), residue.after(3_000));
        Path shared = Path.of("/dev/shm");
        Path file = Files.createFile(shared.resolve(engine(residue)));
        List<Residue.Item> found = residue.after(0);
        Files.delete(file);
        assertEquals(List.of(new Residue.Item("file", file.toString())), found);
    }

    @Test
    void aFileInItsDirectory() throws Exception {
        planted("file", ".new-left", () -> {
            Path templates = Files.createDirectories(directory.resolve("templates"));
            Files.createFile(templates.resolve("kept.tar"));
            Path left = Files.createFile(templates.resolve(".new-left"));
            return () -> Files.delete(left);
        });
    }

    @Test
    void aDescriptor() throws Exception {
        planted("descriptor", "/dev/zero", () -> new FileInputStream("/dev/zero")::close);
    }

    @Test
    void aMemoryFile() throws Exception {
        planted("memory file", "planted", () -> {
            int file = Kernel.memoryFile();
            return () -> Kernel.close(file);
        });
    }

    @Test
    void aThread() throws Exception {
        planted("thread", "e2b-left", () -> {
            CountDownLatch over = new CountDownLatch(1);
            Thread thread = Thread.ofPlatform().name("e2b-left").start(() -> {
                try {
                    over.await();
                } catch (InterruptedException e) {
                    // Over.
                }
            });
            Thread.sleep(100);
            return () -> {
                over.countDown();
                thread.join();
            };
        });
    }

    @Test
    void sharedMemory() throws Exception {
        planted("shared memory", "segment", () -> {
            int segment = Kernel.sharedMemory();
            return () -> Kernel.removeSharedMemory(segment);
        });
    }

    @Test
    void betweenTwoCallsOnlyTheLivingSupervisorHasAnything() throws Exception {
        Residue residue = Residue.here();
        try (Engine engine = Engine.open()) {
            String sandbox = engine.sandbox("base");
            residue.look();
            assertEquals(List.of(), residue.between(3_000));
            engine.client().terminateE2BSandbox(sandbox, true);
            assertEquals(List.of(), residue.between(3_000));
            Path pids = Path.of("/sys/fs/cgroup/pids");
            if (Host.root() && Files.isDirectory(pids.resolve(engine(residue)))) {
                Path group = Files.createDirectory(pids.resolve(engine(residue)).resolve("left"));
                assertEquals(1, residue.between(0).size());
                Files.delete(group);
            }
        }
        assertEquals(List.of(), residue.after(3_000));
    }
}
