package io.e2bridge.internal;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.e2bridge.ChildJvm;
import io.e2bridge.E2BErrorCode;
import io.e2bridge.Host;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the library comes from, and what each way in which that fails says. Each load is tried in a JVM of its own. */
class NativeLibraryLoaderTest {
    private static final Path LIBRARY = ChildJvm.CLASSES.resolve("native/linux-x86_64/libe2bridge.so");

    @TempDir
    Path directory;

    private static List<String> lines(ChildJvm child, String what) throws Exception {
        ChildJvm.Result result = child.run(LoaderProbe.class, what);
        assertEquals(0, result.exitCode(), result.output());
        return result.output().lines().filter(line -> !line.startsWith("WARNING")).toList();
    }

    /** Both uses report the failure, in the same words. */
    private static String failure(ChildJvm child, E2BErrorCode code) throws Exception {
        List<String> lines = lines(child, "load").stream().filter(line -> line.matches("[A-Z_]+\\|.*")).toList();
        assertEquals(2, lines.size(), lines.toString());
        assertEquals(lines.get(0), lines.get(1));
        assertTrue(lines.get(0).startsWith(code + "|"), lines.get(0));
        return lines.get(0);
    }

    private static void assertSays(String line, String... words) {
        for (String word : words) {
            assertTrue(line.contains(word), "'" + word + "' is not in: " + line);
        }
    }

    // What works

    @Test
    void loadsFromTheJarWithoutTouchingTheFileSystemOrSignals() throws Exception {
        List<String> lines = lines(new ChildJvm().options("-Djava.io.tmpdir=" + directory, "-XX:-UsePerfData"), "load");
        assertEquals(List.of("OK jar 1", "OK jar 1", "signals unchanged"), lines);
        try (Stream<Path> left = Files.list(directory)) {
            assertEquals(List.of(), left.toList());
        }
    }

    @Test
    void neitherLoadingNorUseChangesASignalDisposition() throws Exception {
        ChildJvm.Result result = new ChildJvm().run(LoaderProbe.class, "use", directory.toString());
        List<String> lines = result.output().lines().toList();
        assertEquals(0, result.exitCode(), result.output());
        Host.require(!result.output().contains("ISOLATION_UNAVAILABLE|"), "an engine: " + result.output());
        assertEquals(List.of("OK jar 1", "SIGSEGV", "2", "unchanged by loading", "unchanged by use"), lines);
    }

    @Test
    void theMemoryFileIsSealedAndClosedOnExec() throws Exception {
        List<String> lines = lines(new ChildJvm(), "memory");
        assertEquals(3, lines.size(), lines.toString());
        // O_CLOEXEC is 02000000 in octal.
        String flags = lines.get(1).replaceAll(".*\\s", "");
        assertTrue((Long.parseLong(flags, 8) & 02000000) != 0, lines.get(1));
        assertEquals("sealed: Operation not permitted", lines.get(2));
    }

    @Test
    void twoClassLoadersLoadOneEach() throws Exception {
        assertEquals(List.of("OK jar 1", "OK jar 1", "OK jar 1", "signals unchanged"), lines(new ChildJvm(), "two"));
    }

    @Test
    void thePropertyNamesAFileOrItsDirectory() throws Exception {
        Path file = Files.copy(LIBRARY, directory.resolve("libe2bridge.so"));
        Path other = Files.copy(LIBRARY, directory.resolve("other-name.so"));
        assertEquals("OK " + file + " 1", lines(path(file), "load").get(0));
        assertEquals("OK " + file + " 1", lines(path(directory), "load").get(0));
        assertEquals("OK " + other + " 1", lines(path(other), "load").get(0));
        assertEquals("OK jar 1", lines(new ChildJvm().options("-De2bridge.library.path="), "load").get(0));
    }

    private static ChildJvm path(Path path) {
        return new ChildJvm().options("-De2bridge.library.path=" + path);
    }

    @Test
    void modulePathWorks() throws Exception {
        ChildJvm.Result result = ChildJvm.run(modular("--enable-native-access=io.e2bridge"));
        assertEquals(0, result.exitCode(), result.output());
        assertTrue(result.output().startsWith("OK ") || result.output().startsWith("UNSUPPORTED|")
                || result.output().startsWith("ISOLATION_UNAVAILABLE|"), result.output());
        assertTrue(!result.output().contains("WARNING"), result.output());
    }

    /** The bindings as a module, the probe in it by a patch. */
    private List<String> modular(String... options) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(List.of(options));
        StringBuilder modulePath = new StringBuilder(ChildJvm.CLASSES.toString());
        ChildJvm.jackson().forEach(jar -> modulePath.append(':').append(jar));
        command.addAll(List.of(
                "-p", modulePath.toString(),
                "--patch-module", "io.e2bridge=" + ChildJvm.TEST_CLASSES,
                "-m", "io.e2bridge/" + LoaderProbe.class.getName(), "check"));
        return command;
    }

    // What the host lacks

    @Test
    void otherSystem() throws Exception {
        assertSays(failure(new ChildJvm().options("-Dos.name=Mac OS X"), E2BErrorCode.UNSUPPORTED), "linux only", "Mac OS X");
    }

    @Test
    void otherMachine() throws Exception {
        assertSays(failure(new ChildJvm().options("-Dos.arch=aarch64"), E2BErrorCode.UNSUPPORTED), "x86-64 only", "aarch64");
    }

    @Test
    void nativeAccessDeniedOnTheClassPath() throws Exception {
        Host.require(Runtime.version().feature() >= 24, "JDK 24 or newer, which can deny native access");
        String line = failure(
                new ChildJvm().withoutNativeAccess().options("--illegal-native-access=deny"), E2BErrorCode.PERMISSION_DENIED);
        assertSays(line, "--enable-native-access=ALL-UNNAMED");
        line = failure(
                path(LIBRARY).withoutNativeAccess().options("--illegal-native-access=deny"), E2BErrorCode.PERMISSION_DENIED);
        assertSays(line, "--enable-native-access=ALL-UNNAMED");
    }

    @Test
    void nativeAccessDeniedOnTheModulePath() throws Exception {
        Host.require(Runtime.version().feature() >= 24, "JDK 24 or newer, which can deny native access");
        ChildJvm.Result result = ChildJvm.run(modular("--illegal-native-access=deny"));
        assertSays(result.output(), "PERMISSION_DENIED|", "--enable-native-access=io.e2bridge");
    }

    @Test
    void nativeAccessNotEnabledIsAWarningOfTheJvm() throws Exception {
        ChildJvm.Result result = new ChildJvm().withoutNativeAccess().run(LoaderProbe.class, "load");
        assertSays(result.output(), "WARNING", "--enable-native-access=ALL-UNNAMED", "OK jar 1");
    }

    @Test
    void memoryFilesRefusedByTheHost() throws Exception {
        Path ready = directory.resolve("ready");
        String[] refusing = {"unshare", "--pid", "--fork", "--mount-proc", "sh", "-c",
            "echo 2 > /proc/sys/vm/memfd_noexec && : > " + ready + " && exec \"$@\"", "sh"};
        List<String> command = new ChildJvm().through(refusing).command(LoaderProbe.class, "load");
        ChildJvm.Result result = ChildJvm.run(command);
        Host.require(Files.exists(ready), "root and vm.memfd_noexec (Linux 6.3)");
        String line = result.output().lines().findFirst().orElseThrow();
        assertSays(line, "UNSUPPORTED|", "refuses the memory file", "memfd_create failed with errno 13",
                "-De2bridge.library.path=FILE", "native/linux-x86_64/libe2bridge.so");
        // The remedy that it names works.
        result = ChildJvm.run(path(LIBRARY).through(refusing).command(LoaderProbe.class, "load"));
        assertSays(result.output(), "OK " + LIBRARY);
    }

    @Test
    void noexecMount() throws Exception {
        Path ready = directory.resolve("ready");
        Path mount = Files.createDirectory(directory.resolve("mount"));
        String[] mounted = {"unshare", "--mount", "sh", "-c",
            "mount -t tmpfs -o noexec none " + mount + " && cp " + LIBRARY + " " + mount + " && : > " + ready + " && exec \"$@\"", "sh"};
        ChildJvm.Result result = ChildJvm.run(path(mount).through(mounted).command(LoaderProbe.class, "load"));
        Host.require(Files.exists(ready), "root, to mount");
        assertSays(result.output(), "PERMISSION_DENIED|", "without noexec");
    }

    @Test
    void wordsOfTheLinker() {
        assertSays(NativeLibraryLoader.notLoadable("x", "/lib/libc.so.6: version `GLIBC_9.99' not found", null).getMessage(),
                "older than the native library needs", "GLIBC_9.99");
        assertEquals(E2BErrorCode.INTERNAL, NativeLibraryLoader.notLoadable("x", "something else", null).code());
    }

    @Test
    void olderGlibc() throws Exception {
        byte[] library = Files.readAllBytes(LIBRARY);
        byte[] wanted = "\0GLIBC_2.2.5\0".getBytes(StandardCharsets.US_ASCII);
        int at = indexOf(library, wanted);
        assertTrue(at > 0);
        System.arraycopy("\0GLIBC_9.9.9\0".getBytes(StandardCharsets.US_ASCII), 0, library, at, wanted.length);
        Path file = Files.write(directory.resolve("libe2bridge.so"), library);
        assertSays(failure(path(file), E2BErrorCode.UNSUPPORTED), "older than the native library needs", "GLIBC_9.9.9");
    }

    private static int indexOf(byte[] bytes, byte[] wanted) {
        outer:
        for (int i = 0; i <= bytes.length - wanted.length; i++) {
            for (int j = 0; j < wanted.length; j++) {
                if (bytes[i + j] != wanted[j]) {
                    continue outer;
                }
            }
            return i;
        }
        return -1;
    }

    // What is wrong with the library

    @Test
    void thePropertyNamesNothing() throws Exception {
        String line = failure(path(directory.resolve("none.so")), E2BErrorCode.NOT_FOUND);
        assertSays(line, "|e2bridge.library.path|", directory.resolve("none.so").toString());
        assertSays(failure(path(directory), E2BErrorCode.NOT_FOUND), directory.resolve("libe2bridge.so").toString());
    }

    @Test
    void notALibrary() throws Exception {
        Path file = Files.writeString(directory.resolve("libe2bridge.so"), "no library, however long this text may be".repeat(10));
        assertSays(failure(path(file), E2BErrorCode.UNSUPPORTED), "not a shared library for linux on x86-64", file.toString());
        Files.writeString(file, "");
        assertSays(failure(path(file), E2BErrorCode.UNSUPPORTED), "not a shared library for linux on x86-64");
    }

    @Test
    void aLibraryForAnotherMachine() throws Exception {
        byte[] library = Files.readAllBytes(LIBRARY);
        // e_machine of the ELF header: 183 is AArch64.
        library[18] = (byte) 183;
        Path file = Files.write(directory.resolve("libe2bridge.so"), library);
        assertSays(failure(path(file), E2BErrorCode.UNSUPPORTED), "not a shared library for linux on x86-64");
    }

    @Test
    void anotherLibrary() throws Exception {
        Path file = compile("int something_else(void) { return 1; }");
        assertSays(failure(path(file), E2BErrorCode.INTERNAL), "is not libe2bridge", "e2b_abi_version");
    }

    @Test
    void anotherAbiVersion() throws Exception {
        Path file = compile("unsigned e2b_abi_version(void) { return 7; }");
        assertSays(failure(path(file), E2BErrorCode.INTERNAL), "has ABI version 7", "need 1");
    }

    private Path compile(String source) throws IOException, InterruptedException {
        Path file = directory.resolve("libe2bridge.so");
        Path text = Files.writeString(directory.resolve("library.c"), source);
        Process compiler = new ProcessBuilder("cc", "-shared", "-fPIC", "-o", file.toString(), text.toString()).inheritIO().start();
        assertTrue(compiler.waitFor(1, TimeUnit.MINUTES));
        assertEquals(0, compiler.exitValue());
        return file;
    }

    @Test
    void oneFileForTwoClassLoaders() throws Exception {
        List<String> lines = lines(path(LIBRARY), "two");
        assertSays(lines.get(0), "OK ");
        assertSays(lines.get(1), "UNSUPPORTED|", "another class loader", "-De2bridge.library.path");
    }

    // What is wrong with the jar

    @Test
    void theJarHasNoLibrary() throws Exception {
        Path classes = copyOfTheClasses();
        Files.delete(classes.resolve("native/linux-x86_64/libe2bridge.so"));
        assertSays(failure(new ChildJvm().classes(classes), E2BErrorCode.NOT_FOUND),
                "the jar has no native/linux-x86_64/libe2bridge.so", "-De2bridge.library.path=FILE");
    }

    @Test
    void theJarHasNoDigest() throws Exception {
        Path classes = copyOfTheClasses();
        Files.delete(classes.resolve("native/linux-x86_64/libe2bridge.so.sha256"));
        assertSays(failure(new ChildJvm().classes(classes), E2BErrorCode.NOT_FOUND),
                "the jar has no native/linux-x86_64/libe2bridge.so.sha256");
    }

    @Test
    void theLibraryInTheJarIsDamaged() throws Exception {
        Path classes = copyOfTheClasses();
        Path file = classes.resolve("native/linux-x86_64/libe2bridge.so");
        byte[] library = Files.readAllBytes(file);
        library[library.length / 2] ^= 1;
        Files.write(file, library);
        String digest = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(library));
        String expected = Files.readString(classes.resolve("native/linux-x86_64/libe2bridge.so.sha256"));
        assertSays(failure(new ChildJvm().classes(classes), E2BErrorCode.INTERNAL), "damaged", digest, expected);
    }

    private Path copyOfTheClasses() throws IOException {
        Path copy = directory.resolve("classes");
        try (Stream<Path> files = Files.walk(ChildJvm.CLASSES)) {
            for (Path file : files.toList()) {
                Path target = copy.resolve(ChildJvm.CLASSES.relativize(file).toString());
                if (Files.isDirectory(file)) {
                    Files.createDirectories(target);
                } else {
                    Files.copy(file, target);
                }
            }
        }
        return copy;
    }
}
