package io.e2bridge;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Files in and out. */
class FilesTest extends EngineTest {
    private String sandbox;

    @BeforeEach
    void create() {
        sandbox = base();
    }

    @AfterEach
    void terminate() {
        end(sandbox);
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 1, 4096, 65_536, 131_073, 5_000_000})
    void everyByteComesBack(int length) {
        byte[] content = new byte[length];
        new Random(length).nextBytes(content);
        FileWritten written = Documents.read(e2b().writeE2BFile(sandbox, "/data/file.bin", content));
        assertEquals("/data/file.bin", written.path());
        assertEquals(length, written.size());
        FileContent read = Documents.read(e2b().readE2BFile(sandbox, "/data/file.bin"));
        assertEquals(length, read.size());
        assertArrayEquals(content, read.content());
        assertFalse(read.toString().length() > 300, "toString repeats the content");
    }

    @Test
    void relativePathsAreOfTheHomeAndParentsAreMade() {
        assertEquals("/home/user/a/b/c.txt", e2b().writeE2BFile(sandbox, "a/b/c.txt", "x".getBytes(StandardCharsets.UTF_8)).path());
        assertEquals("x", e2b().executeE2BProcess(sandbox, "cat ~/a/b/c.txt").stdout());
        e2b().executeE2BProcess(sandbox, "printf inside > ~/made");
        assertEquals("inside", new String(e2b().readE2BFile(sandbox, "made").content(), StandardCharsets.UTF_8));
    }

    @Test
    void aFileIsReplaced() {
        e2b().writeE2BFile(sandbox, "f", "a longer text".getBytes(StandardCharsets.UTF_8));
        e2b().writeE2BFile(sandbox, "f", "short".getBytes(StandardCharsets.UTF_8));
        assertEquals("short", e2b().executeE2BProcess(sandbox, "cat f").stdout());
        assertEquals("1000\n", e2b().executeE2BProcess(sandbox, "stat -c %u f").stdout());
    }

    @Test
    void namesOfEveryPlane() {
        String name = "é €日本\ud83d\ude00 \"quoted\".txt";
        e2b().writeE2BFile(sandbox, name, new byte[] {1});
        assertArrayEquals(new byte[] {1}, e2b().readE2BFile(sandbox, name).content());
    }

    @Test
    void whatIsNoRegularFileIsAnErrorAtOnce() {
        fails(E2BErrorCode.NOT_FOUND, () -> e2b().readE2BFile(sandbox, "/data/none"));
        e2b().executeE2BProcess(sandbox, "mkfifo ~/fifo; mkdir ~/dir");
        for (String path : new String[] {"fifo", "dir", "/dev/zero"}) {
            E2BException e = org.junit.jupiter.api.Assertions.assertThrows(E2BException.class, () -> e2b().readE2BFile(sandbox, path));
            assertTrue(e.code() == E2BErrorCode.INVALID_ARGUMENT || e.code() == E2BErrorCode.PERMISSION_DENIED
                    || e.code() == E2BErrorCode.NOT_FOUND, e.toString());
        }
    }

    @Test
    void pathsStayInside() {
        e2b().executeE2BProcess(sandbox, "ln -s /proc/1/root/etc/shadow ~/link; ln -s ../../../../etc/passwd ~/up");
        for (String path : new String[] {"link", "/etc/shadow", "../../../etc/shadow", "/proc/1/environ"}) {
            try {
                String text = new String(e2b().readE2BFile(sandbox, path).content(), StandardCharsets.UTF_8);
                assertFalse(text.contains("JAVA_HOME") || text.contains("root:$") || text.contains("root:*"), path + ": " + text);
            } catch (E2BException refused) {
                assertTrue(refused.code() != E2BErrorCode.INTERNAL, refused.toString());
            }
        }
        for (String path : new String[] {"/usr/bin/x", "/etc/x", "/proc/x", "/x"}) {
            E2BException e = org.junit.jupiter.api.Assertions.assertThrows(
                    E2BException.class, () -> e2b().writeE2BFile(sandbox, path, new byte[1]));
            assertTrue(e.code() != E2BErrorCode.INTERNAL && e.code() != E2BErrorCode.UNAVAILABLE, e.toString());
        }
    }

    @Test
    void badPathsAreNamed() {
        for (String path : new String[] {"", "a\0b", "dir/", "x".repeat(5_000)}) {
            fails(E2BErrorCode.INVALID_ARGUMENT, "path", () -> e2b().writeE2BFile(sandbox, path, new byte[1]));
            fails(E2BErrorCode.INVALID_ARGUMENT, "path", () -> e2b().readE2BFile(sandbox, path));
        }
        fails(E2BErrorCode.INVALID_ARGUMENT, "path", () -> e2b().readE2BFile(sandbox, "\udc00"));
    }

    @Test
    void aFullDiskIsAnErrorAndTheSandboxLives() {
        E2BException e = org.junit.jupiter.api.Assertions.assertThrows(
                E2BException.class, () -> e2b().writeE2BFile(sandbox, "large", new byte[100 * 1024 * 1024]));
        assertEquals(E2BErrorCode.LIMIT_EXCEEDED, e.code(), e.getMessage());
        assertEquals(0, e2b().executeE2BProcess(sandbox, "true").exitCode());
    }
}
