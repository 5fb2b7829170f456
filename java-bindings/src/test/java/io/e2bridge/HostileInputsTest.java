package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

/** Hostile names, ids, variables, paths and archives: an error that names the argument and the rule; nothing created, nothing lost. */
class HostileInputsTest extends EngineTest {
    private String sandbox;

    @BeforeEach
    void create() {
        sandbox = base();
    }

    @AfterEach
    void theSandboxLivesAndEnds() {
        assertEquals("alive\n", e2b().executeE2BProcess(sandbox, "echo alive").output());
        long began = System.nanoTime();
        end(sandbox);
        assertTrue(System.nanoTime() - began < 10_000_000_000L, "the end took too long");
        assertEquals(0, e2b().listE2BSandboxes().totalCount());
    }

    private static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void brief(E2BException e) {
        assertTrue(e.getMessage().length() < 600, () -> e.getMessage().length() + " characters");
        assertFalse(e.getMessage().contains("\0"), "a NUL in a message");
    }

    @Test
    void idsThatAreNone() {
        String deployment = e2b().deployE2BTemplate("base", "c", Map.of("memory_mb", 32)).deploymentId();
        try (Engine other = Engine.open()) {
            String foreign = other.sandbox("base");
            for (String id : List.of("../../etc/passwd", sandbox + "/../" + sandbox, sandbox.toUpperCase(), sandbox + "\0", "\0", sandbox + " ",
                    sandbox.substring(0, sandbox.length() - 1), "ѕb_" + sandbox.substring(3), "x".repeat(1 << 20), deployment, foreign)) {
                List<Executable> calls = List.of(
                        () -> e2b().getE2BSandboxStatus(id),
                        () -> e2b().executeE2BProcess(id, "true"),
                        () -> e2b().runE2BCode(id, "js", "1"),
                        () -> e2b().runE2BAgent(id, "momentum", List.of("SPY"), false),
                        () -> e2b().writeE2BFile(id, "x", new byte[1]),
                        () -> e2b().readE2BFile(id, "x"),
                        () -> e2b().exportE2BTemplate(id, "never"),
                        () -> e2b().terminateE2BSandbox(id, true));
                for (Executable call : calls) {
                    E2BException e = assertThrows(E2BException.class, call);
                    assertTrue(e.code() == E2BErrorCode.NOT_FOUND || e.code() == E2BErrorCode.INVALID_ARGUMENT, e.toString());
                    assertEquals("sandbox_id", e.argument(), e.toString());
                    brief(e);
                }
            }
            E2BException e = assertThrows(E2BException.class, () -> e2b().scaleE2BDeployment(sandbox, 0));
            assertEquals("deployment_id", e.argument());
            assertEquals("mine\n", other.client().executeE2BProcess(foreign, "echo mine").output());
        }
        e2b().scaleE2BDeployment(deployment, 0);
    }

    @Test
    void namesThatAreNone() {
        int templates = e2b().listE2BTemplates().totalCount();
        for (String name : List.of("../x", "/etc/passwd", "Upper", "a\0b", "a\n", "x".repeat(1 << 20), "а", ".", "..", "-rf", "tpl/x", "a%2fb")) {
            for (Executable call : List.<Executable>of(
                    () -> e2b().createE2BSandbox(Engine.name(), name),
                    () -> e2b().createE2BSandbox(name),
                    () -> e2b().deployE2BTemplate(name, "c", Map.of()),
                    () -> e2b().exportE2BTemplate(sandbox, name),
                    () -> e2b().deleteE2BTemplate(name))) {
                E2BException e = assertThrows(E2BException.class, call);
                assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code(), e.toString());
                assertTrue(List.of("template", "template_name", "name").contains(e.argument()), e.toString());
                brief(e);
            }
        }
        assertEquals(templates, e2b().listE2BTemplates().totalCount());
    }

    @Test
    void variables() {
        Map<String, Object> refused = new HashMap<>();
        refused.put("configuration.env.", Map.of("", "x"));
        refused.put("configuration.env.A=B", Map.of("A=B", "x"));
        refused.put("configuration.env.A", Map.of("A", "x\0y"));
        refused.put("configuration.env.B", Map.of("B", 1));
        refused.forEach((argument, env) -> brief(fails(
                E2BErrorCode.INVALID_ARGUMENT, argument, () -> e2b().deployE2BTemplate("base", "c", Map.of("env", env)))));
        brief(fails(E2BErrorCode.LIMIT_EXCEEDED, "configuration.env.A",
                () -> e2b().deployE2BTemplate("base", "c", Map.of("env", Map.of("A", "x".repeat(128 * 1024 + 1))))));
        E2BException key = assertThrows(E2BException.class,
                () -> e2b().deployE2BTemplate("base", "c", Map.of("env", Map.of("x".repeat(1 << 20), "x"))));
        brief(key);
        assertEquals(1, e2b().listE2BSandboxes().totalCount());
        Map<String, String> many = new HashMap<>();
        for (int i = 0; i < 10_000; i++) {
            many.put("V" + i, "");
        }
        Map<String, String> loader = Map.of("LD_PRELOAD", "/opt/evil.so", "LD_LIBRARY_PATH", "/opt", "HOME", "/opt", "E2B_CONFIGURATION", "mine");
        for (var deployed : List.of(
                Map.of("env", many), Map.of("env", loader))) {
            DeploymentCreated created = e2b().deployE2BTemplate("base", "c", deployed);
            String instance = created.sandboxIds().getFirst();
            String seen = e2b().executeE2BProcess(instance, "env").stdout();
            assertTrue(seen.contains(deployed.get("env") == many ? "\nV9999=\n" : "LD_PRELOAD=/opt/evil.so\n"), "a variable is missing");
            assertFalse(seen.contains("E2B_CONFIGURATION=mine"));
            assertEquals("42", e2b().runE2BCode(instance, "js", "40 + 2").result());
            e2b().scaleE2BDeployment(created.deploymentId(), 0);
        }
    }

    @Test
    void pathsWhileALinkFlips() {
        e2b().executeE2BProcess(sandbox, "mkdir -p a/b; echo inside > a/b/f; (i=0; while [ $i -lt 2000 ]; do for t in / /proc/1/root /etc fifo; do "
                + "mv a/b x; ln -s $t a/b; rm a/b; mv x a/b; mv a/b/f y; ln -s /etc/passwd a/b/f; rm a/b/f; mkfifo a/b/f; rm a/b/f; mv y a/b/f; "
                + "done; i=$((i+1)); done) > /dev/null 2>&1 &");
        for (int i = 0; i < 300; i++) {
            try {
                String text = new String(e2b().readE2BFile(sandbox, "a/b/f").content(), StandardCharsets.UTF_8);
                assertTrue(text.equals("inside\n") || text.equals("new") || text.contains(":/home/user:"), text);
            } catch (E2BException refused) {
                assertEquals("path", refused.argument(), refused.toString());
            }
            try {
                e2b().writeE2BFile(sandbox, "a/b/f", utf8("new"));
            } catch (E2BException refused) {
                assertEquals("path", refused.argument(), refused.toString());
            }
        }
    }

    @Test
    void hugeSparseAndDeepFiles() {
        e2b().executeE2BProcess(sandbox, "truncate -s 1T /opt/sparse; mkfifo /opt/fifo");
        fails(E2BErrorCode.LIMIT_EXCEEDED, "path", () -> e2b().readE2BFile(sandbox, "/opt/sparse"));
        fails(E2BErrorCode.INVALID_ARGUMENT, "path", () -> e2b().readE2BFile(sandbox, "/opt/fifo"));
        fails(E2BErrorCode.LIMIT_EXCEEDED, () -> e2b().exportE2BTemplate(sandbox, "huge"));
        e2b().executeE2BProcess(sandbox, "rm /opt/sparse; cd /opt; i=0; while [ $i -lt 600 ]; do mkdir d; cd -P d; i=$((i+1)); done");
        fails(E2BErrorCode.LIMIT_EXCEEDED, () -> e2b().exportE2BTemplate(sandbox, "huge"));
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().createE2BSandbox(Engine.name(), "huge"));
    }

    @Test
    void archivesThatAreNotWhatTheySay(@TempDir Path directory) throws Exception {
        e2b().writeE2BFile(sandbox, "/opt/x", utf8("kept"));
        e2b().exportE2BTemplate(sandbox, "kept");
        Path good = directory.resolve("good.tar");
        e2b().exportE2BTemplateFile("kept", good);
        byte[] bytes = Files.readAllBytes(good);
        Map<String, byte[]> archives = new HashMap<>();
        archives.put("empty", new byte[0]);
        archives.put("cut", java.util.Arrays.copyOf(bytes, bytes.length - 512));
        archives.put("with more behind it", java.util.Arrays.copyOf(bytes, bytes.length + 512));
        archives.put("zeroes", new byte[bytes.length]);
        String manifest = new String(bytes, 512, 2_048, StandardCharsets.UTF_8);
        for (String[] lie : new String[][] {
            {"\"kept\"", "\"Kept\""}, {"\"entries\": 1", "\"entries\": 9"}, {"\"size_bytes\": 4", "\"size_bytes\": 5"}, {"\"base\"", "\"bash\""},
            {"\"format_version\": 1", "\"format_version\": 2"}
        }) {
            assertTrue(manifest.contains(lie[0]), manifest);
            byte[] lied = bytes.clone();
            byte[] text = utf8(manifest.replace(lie[0], lie[1]));
            System.arraycopy(text, 0, lied, 512, text.length);
            archives.put(lie[1], lied);
        }
        byte[] damaged = bytes.clone();
        damaged[512 + 2_048 + 512 + 20] ^= 1;
        archives.put("damaged", damaged);
        for (Map.Entry<String, byte[]> archive : archives.entrySet()) {
            Path file = Files.write(directory.resolve("hostile.tar"), archive.getValue());
            E2BException e = fails(E2BErrorCode.INVALID_ARGUMENT, "file", () -> e2b().importE2BTemplateFile(file, "kept"));
            assertTrue(e.getMessage().startsWith("file: "), archive.getKey() + ": " + e);
            brief(e);
            fails(E2BErrorCode.NOT_FOUND, () -> e2b().deleteE2BTemplate("hostile"));
        }
        for (Path file : List.of(directory, Path.of("/dev/zero"), Path.of("/proc/self/mem"))) {
            E2BException e = assertThrows(E2BException.class, () -> e2b().importE2BTemplateFile(file, "kept"));
            assertEquals("file", e.argument(), e.toString());
        }
        // The earlier one is what it was, and the good file still is one.
        assertArrayEquals(bytes, Files.readAllBytes(good));
        String copy = e2b().createE2BSandbox(Engine.name(), "kept", 60, 64, 1).sandboxId();
        assertEquals("kept", e2b().executeE2BProcess(copy, "cat /opt/x").output());
        end(copy);
        assertTrue(e2b().importE2BTemplateFile(good, "kept").replaced());
    }

    @Test
    void aStoreThatSomebodyEdited(@TempDir Path directory) throws Exception {
        try (Engine spoilt = Engine.open()) {
            E2B client = spoilt.client();
            String one = spoilt.sandbox("base");
            client.exportE2BTemplate(one, "good");
            Path store = spoilt.directory().resolve("templates");
            Path outside = Files.writeString(directory.resolve("outside"), "of the host");
            Files.createSymbolicLink(store.resolve("link.tar"), outside);
            Files.createDirectory(store.resolve("directory.tar"));
            Files.writeString(store.resolve("text.tar"), "{".repeat(100_000));
            Files.copy(store.resolve("good.tar"), store.resolve("other.tar"));
            TemplateList list = Documents.read(client.listE2BTemplates());
            for (String name : List.of("link", "directory", "text", "other")) {
                TemplateSummary row = list.templates().stream().filter(t -> t.templateName().equals(name)).findFirst().orElseThrow();
                assertFalse(row.available());
                assertNotNull(row.reason());
                E2BException e = fails(E2BErrorCode.UNAVAILABLE, () -> client.createE2BSandbox(Engine.name(), name));
                assertTrue(e.getMessage().contains("damaged"), e.getMessage());
            }
            client.deleteE2BTemplate("link");
            assertEquals("of the host", Files.readString(outside));
            client.terminateE2BSandbox(client.createE2BSandbox(Engine.name(), "good", 60, 64, 1).sandboxId(), true);
        }
    }

    @Test
    void aKillInTheMiddleOfAnExportLeavesTheOldOneOrTheNew(@TempDir Path directory) throws Exception {
        try (E2B reader = E2B.open(E2BConfig.builder().dataDirectory(directory).build())) {
            int rounds = 6;
            for (int round = 0; round < rounds; round++) {
                Process process = new ProcessBuilder(new ChildJvm().command(ExportProbe.class, directory.toString()))
                        .redirectError(ProcessBuilder.Redirect.DISCARD)
                        .start();
                try (BufferedReader output = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8))) {
                    for (int exports = 0; exports < 2 + round; exports++) {
                        assertNotNull(output.readLine(), "the program has ended by itself");
                    }
                    Thread.sleep(Duration.ofMillis(7L * round));
                } finally {
                    process.destroyForcibly().waitFor();
                }
                String copy = reader.createE2BSandbox(Engine.name(), "replaced", 60, 64, 1).sandboxId();
                String seen = reader.executeE2BProcess(copy, "tr -d \"$(cat /opt/second)\" < /opt/first | wc -c; wc -c < /opt/first").output();
                assertEquals("0\n3000000\n", seen, "half of one and half of another");
                reader.terminateE2BSandbox(copy, true);
            }
        }
        // The next one who opens the store sweeps what the killed ones left.
        E2B.open(E2BConfig.builder().dataDirectory(directory).build()).close();
        try (Stream<Path> left = Files.list(directory.resolve("templates"))) {
            assertEquals(List.of(".lock", "replaced.tar"), left.map(file -> file.getFileName().toString()).sorted().toList());
        }
    }
}
