package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

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
    void theCloudIsAChoice() {
        E2BException e = assertThrows(E2BException.class, () -> E2B.open(E2BConfig.builder().backend(Backend.CLOUD).build()));
        assertNotEquals(E2BErrorCode.INTERNAL, e.code());
    }
}
