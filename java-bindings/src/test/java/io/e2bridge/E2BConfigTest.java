package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class E2BConfigTest {
    @Test
    void nothingIsSetUnlessItIs() {
        E2BConfig config = E2BConfig.builder().build();
        assertEquals(E2BConfig.defaults(), config);
        assertNull(config.backend());
        assertNull(config.isolation());
        assertNull(config.dataDirectory());
        assertNull(config.python());
        assertNull(config.node());
        assertNull(config.poolBase());
        assertNull(config.poolPython());
        assertNull(config.poolNode());
        assertNull(config.diskMb());
        assertNull(config.domain());
        assertNull(config.apiUrl());
        assertNull(config.sandboxUrl());
        assertNull(config.caFile());
        assertNull(config.templates());
        assertNull(config.connectTimeout());
        assertNull(config.requestTimeout());
        assertNull(config.idleTimeout());
        assertEquals("{}", config.json().toString());
    }

    @Test
    void keepsWhatWasSetUnderTheNamesOfTheContract() {
        E2BConfig.Builder builder = E2BConfig.builder()
                .backend(Backend.LOCAL)
                .isolation(Isolation.BEST_EFFORT)
                .dataDirectory(Path.of("/data/e2b"))
                .python(Path.of("/usr/bin/python3"))
                .node(Path.of("/usr/bin/node"))
                .poolBase(1)
                .poolPython(2)
                .poolNode(0)
                .diskMb(64);
        E2BConfig config = builder.build();
        assertEquals(Backend.LOCAL, config.backend());
        assertEquals(Isolation.BEST_EFFORT, config.isolation());
        assertEquals(Path.of("/data/e2b"), config.dataDirectory());
        assertEquals(Path.of("/usr/bin/python3"), config.python());
        assertEquals(Path.of("/usr/bin/node"), config.node());
        assertEquals(1, config.poolBase());
        assertEquals(2, config.poolPython());
        assertEquals(0, config.poolNode());
        assertEquals(64, config.diskMb());
        assertEquals(
                "{\"backend\":\"local\",\"isolation\":\"best_effort\",\"data_directory\":\"/data/e2b\",\"python\":\"/usr/bin/python3\","
                        + "\"node\":\"/usr/bin/node\",\"pool_base\":1,\"pool_python\":2,\"pool_node\":0,\"disk_mb\":64}",
                config.json().toString());
        assertEquals(config, builder.build());
        assertEquals(config.hashCode(), builder.build().hashCode());
        builder.poolBase(null).isolation(null).python(null);
        assertNotEquals(config, builder.build());
        assertEquals(1, config.poolBase());
        config.json().put("pool_base", 9);
        assertEquals(1, config.poolBase());
    }

    @Test
    void relativePathsAreOfTheWorkingDirectory() {
        E2BConfig config = E2BConfig.builder().dataDirectory(Path.of("data")).build();
        assertEquals(Path.of("data").toAbsolutePath(), config.dataDirectory());
    }

    @Test
    void pathsOfOtherFileSystemsAreRefused(@TempDir Path directory) throws Exception {
        URI zip = URI.create("jar:" + directory.resolve("a.zip").toUri());
        try (FileSystem system = FileSystems.newFileSystem(zip, Map.of("create", "true"))) {
            E2BException e = assertThrows(E2BException.class, () -> E2BConfig.builder().python(system.getPath("/python")));
            assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
            assertEquals("config.python", e.argument());
        }
    }

    @ParameterizedTest
    @CsvSource({"-1,pool_base", "65,pool_base"})
    void rangesAreCheckedWhenAClientIsOpened(int count, String key) {
        E2BException e = assertThrows(E2BException.class, () -> E2B.open(E2BConfig.builder().poolBase(count).build()));
        assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
        assertEquals("config." + key, e.argument());
        e = assertThrows(E2BException.class, () -> E2B.check(E2BConfig.builder().poolBase(count).build()));
        assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
    }

    @Test
    void settingsOfTheCloudCrossUnderTheNamesOfTheContract() {
        E2BConfig config = E2BConfig.builder()
                .backend(Backend.CLOUD)
                .apiKey("e2b_secret")
                .accessToken("tok_secret")
                .domain("cluster.test")
                .apiUrl(URI.create("http://localhost:3000"))
                .sandboxUrl(URI.create("http://localhost:4000"))
                .caFile(Path.of("/etc/ca.pem"))
                .templates(Map.of("python", "mine"))
                .connectTimeout(Duration.ofMillis(1_500))
                .requestTimeout(Duration.ofSeconds(30))
                .idleTimeout(Duration.ofMinutes(2))
                .build();
        assertEquals("cluster.test", config.domain());
        assertEquals(URI.create("http://localhost:3000"), config.apiUrl());
        assertEquals(URI.create("http://localhost:4000"), config.sandboxUrl());
        assertEquals(Path.of("/etc/ca.pem"), config.caFile());
        assertEquals(Map.of("python", "mine"), config.templates());
        assertEquals(Duration.ofSeconds(2), config.connectTimeout());
        assertEquals(Duration.ofSeconds(30), config.requestTimeout());
        assertEquals(Duration.ofSeconds(120), config.idleTimeout());
        assertEquals(
                "{\"backend\":\"cloud\",\"api_key\":\"e2b_secret\",\"access_token\":\"tok_secret\",\"domain\":\"cluster.test\","
                        + "\"api_url\":\"http://localhost:3000\",\"sandbox_url\":\"http://localhost:4000\",\"ca_file\":\"/etc/ca.pem\","
                        + "\"templates\":{\"python\":\"mine\"},\"connect_timeout\":2,\"request_timeout\":30,\"idle_timeout\":120}",
                config.json().toString());
        String shown = config.toString();
        assertFalse(shown.contains("secret"), shown);
        assertTrue(shown.contains("\"api_key\":\"***\""), shown);
        assertNotEquals(
                config, E2BConfig.builder().backend(Backend.CLOUD).apiKey("another").build());
    }

    @Test
    void theCloudIsAChoiceThatNeedsAKeyWhichNoErrorRepeats() {
        E2BConfig.Builder cloud = E2BConfig.builder().backend(Backend.CLOUD).apiUrl(URI.create("http://127.0.0.1:9"));
        E2BException e = assertThrows(E2BException.class, () -> E2B.open(cloud.apiKey("not a key").build()));
        assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
        assertEquals("config.api_key", e.argument());
        assertFalse(e.toString().contains("not a key"), e.toString());
        String address = E2BConfig.builder().apiUrl(URI.create("https://user:hunter2@host")).build().toString();
        assertEquals("E2BConfig{\"api_url\":\"***\"}", address);
        // Opening sends nothing; the first call finds that nobody is there.
        E2BConfig config = cloud.apiKey("e2b_secret").build();
        try (E2B e2b = E2B.open(config)) {
            e = assertThrows(E2BException.class, e2b::listE2BSandboxes);
            assertEquals(E2BErrorCode.UNAVAILABLE, e.code());
            assertFalse((e + e.context().toString()).contains("e2b_secret"), e.toString());
        }
        e = assertThrows(E2BException.class, () -> E2B.check(config));
        assertEquals(E2BErrorCode.UNSUPPORTED, e.code());
    }

    @ParameterizedTest
    @ValueSource(strings = {"connect_timeout", "request_timeout", "idle_timeout"})
    void timesOfTheCloudHaveARange(String key) {
        E2BConfig.Builder builder = E2BConfig.builder();
        switch (key) {
            case "connect_timeout" -> builder.connectTimeout(Duration.ZERO);
            case "request_timeout" -> builder.requestTimeout(Duration.ofSeconds(3_601));
            default -> builder.idleTimeout(Duration.ofSeconds(-5));
        }
        E2BException e = assertThrows(E2BException.class, () -> E2B.open(builder.build()));
        assertEquals(E2BErrorCode.INVALID_ARGUMENT, e.code());
        assertEquals("config." + key, e.argument());
    }
}
