package io.e2bridge.chaos;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.e2bridge.ChildJvm;
import io.e2bridge.Engine;
import io.e2bridge.Host;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** When the host runs out of something, the client says of what, lives on, and works again when there is some. */
@Timeout(300)
class ShortageTest {
    @TempDir
    Path directory;

    @BeforeEach
    void anEngine() {
        Engine.open().close();
    }

    private String probe(ChildJvm jvm, String... arguments) throws Exception {
        ChildJvm.Result result = ChildJvm.run(jvm.options("-XX:+UseSerialGC").command(ShortageProbe.class, arguments), 4);
        assertEquals(0, result.exitCode(), result.output());
        assertTrue(result.output().contains("shortage over"), result.output());
        return result.output();
    }

    @Test
    void descriptorsOfTheProcess() throws Exception {
        String output = probe(new ChildJvm().through("prlimit", "--nofile=160:160"), "descriptors", directory.toString());
        assertTrue(output.contains("create: LIMIT_EXCEEDED"), output);
    }

    @Test
    void descriptorsOfTheSupervisor() throws Exception {
        String output = probe(new ChildJvm(), "supervisor-descriptors", directory.toString());
        assertTrue(output.contains("create: LIMIT_EXCEEDED"), output);
    }

    @Test
    void addressSpaceOfTheSupervisor() throws Exception {
        probe(new ChildJvm(), "supervisor-memory", directory.toString());
    }

    @Test
    void processes() throws Exception {
        Path group = group("pids");
        try {
            String output = probe(inGroup(group), "processes", directory.toString(), group.toString());
            assertTrue(output.contains("create: LIMIT_EXCEEDED"), output);
            assertTrue(output.contains("no thread for the call"), output);
        } finally {
            Files.delete(group);
        }
    }

    @Test
    void memory() throws Exception {
        Path group = group("memory");
        try {
            String output = probe(inGroup(group), "memory", directory.toString(), group.toString());
            assertTrue(output.contains("execute: out of memory"), output);
        } finally {
            Files.delete(group);
        }
    }

    /** A control group for the JVM and everything below it. */
    private static Path group(String controller) throws Exception {
        Path hierarchy = Path.of("/sys/fs/cgroup", controller);
        Host.require(Host.root() && Files.isDirectory(hierarchy), "root and a v1 hierarchy of control groups for " + controller);
        return Files.createDirectory(hierarchy.resolve("shortage-" + ProcessHandle.current().pid()));
    }

    private static ChildJvm inGroup(Path group) {
        return new ChildJvm().through("sh", "-c", "echo $$ >" + group + "/cgroup.procs && exec \"$@\"", "sh");
    }

    @Test
    void theDiskOfTheTemplates() throws Exception {
        Host.require(Host.root(), "root, who may mount a small file system");
        run("mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "none", directory.toString());
        try {
            probe(new ChildJvm(), "disk", directory.toString());
        } finally {
            run("umount", directory.toString());
        }
    }

    private static void run(String... command) throws Exception {
        assertEquals(0, new ProcessBuilder(command).inheritIO().start().waitFor(), String.join(" ", command));
    }

    @Test
    void theDiskOfASandbox() throws Exception {
        probe(new ChildJvm(), "sandbox-disk", directory.toString());
    }
}
