package io.e2bridge.internal;

import io.e2bridge.E2BErrorCode;
import io.e2bridge.E2BException;
import io.e2bridge.internal.abi.E2BridgeNative;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.foreign.Linker;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.Map;

/**
 * Loads the native library, once per class loader, before the generated bindings are touched.
 *
 * <p>The library comes out of the jar through a sealed memory file: nothing is left in a temporary directory, nobody can change
 * it between the digest check and the load, and a read-only or noexec file system is no obstacle. The file's descriptor stays
 * open, because the dynamic linker knows the library by the path {@code /proc/self/fd/N} and must not meet another file there.
 *
 * <p>{@code -De2bridge.library.path=} names a library (or the directory that has it) to load instead; its ABI version is
 * checked, its digest cannot be.
 *
 * <p>A failure is kept and reported on every use, as what it was. Threads: any.
 */
public final class NativeLibraryLoader {
    /** Names a library file, or its directory. */
    static final String PATH_PROPERTY = "e2bridge.library.path";

    static final String FILE_NAME = "libe2bridge.so";
    static final String RESOURCE = "/native/linux-x86_64/" + FILE_NAME;

    private NativeLibraryLoader() {}

    /** Initialised at the first use; never throws, so that the failure is not lost in a NoClassDefFoundError. */
    private static final class Holder {
        static final String ORIGIN;
        static final E2BException FAILURE;

        static {
            String origin = null;
            E2BException failure = null;
            try {
                origin = load();
            } catch (E2BException e) {
                failure = e;
            } catch (LinkageError | RuntimeException e) {
                failure = failure(E2BErrorCode.INTERNAL, "the native library could not be loaded: " + e, Map.of(), e);
            }
            ORIGIN = origin;
            FAILURE = failure;
        }
    }

    /**
     * Loads the library unless that is done.
     *
     * @return where it came from: a path, or {@code jar}
     * @throws E2BException UNSUPPORTED, NOT_FOUND, PERMISSION_DENIED or INTERNAL: why it could not be loaded
     */
    public static String ensureLoaded() {
        E2BException failure = Holder.FAILURE;
        if (failure != null) {
            // A new one, so that the trace is that of this call.
            throw new E2BException(failure.code(), failure.getMessage(), failure.argument(), failure.context(), failure);
        }
        return Holder.ORIGIN;
    }

    private static String load() {
        checkPlatform();
        try {
            String path = System.getProperty(PATH_PROPERTY);
            String origin = path == null || path.isEmpty() ? loadFromJar() : loadFrom(path);
            checkVersion(origin);
            return origin;
        } catch (IllegalCallerException e) {
            throw nativeAccessDenied(e);
        }
    }

    private static void checkPlatform() {
        String system = System.getProperty("os.name", "");
        String machine = System.getProperty("os.arch", "");
        if (!system.equals("Linux")) {
            throw failure(
                    E2BErrorCode.UNSUPPORTED,
                    "e2bridge runs on linux only, this is " + system,
                    Map.of("os", system, "arch", machine),
                    null);
        }
        if (!machine.equals("amd64") && !machine.equals("x86_64")) {
            throw failure(
                    E2BErrorCode.UNSUPPORTED,
                    "e2bridge has a library for x86-64 only, this JVM is for " + machine,
                    Map.of("os", system, "arch", machine),
                    null);
        }
        if (Linker.nativeLinker().defaultLookup().find("gnu_get_libc_version").isEmpty()) {
            throw failure(
                    E2BErrorCode.UNSUPPORTED,
                    "e2bridge needs glibc, this JVM runs on another C library (musl?): use a glibc based image",
                    Map.of("os", system, "arch", machine),
                    null);
        }
    }

    private static String loadFrom(String property) {
        Path path = Path.of(property).toAbsolutePath();
        Path file = Files.isDirectory(path) ? path.resolve(FILE_NAME) : path;
        if (!Files.isRegularFile(file)) {
            throw new E2BException(
                    E2BErrorCode.NOT_FOUND,
                    "there is no readable file " + file + ", which -D" + PATH_PROPERTY + "=" + property + " names",
                    PATH_PROPERTY,
                    Map.of("path", file.toString()),
                    null);
        }
        loadFile(file.toString(), file.toString());
        return file.toString();
    }

    private static String loadFromJar() {
        byte[] library = resource(RESOURCE);
        String expected = new String(resource(RESOURCE + ".sha256"), StandardCharsets.US_ASCII).strip();
        String found = sha256(library);
        if (!found.equals(expected)) {
            throw failure(
                    E2BErrorCode.INTERNAL,
                    "the native library in the jar is damaged: its SHA-256 is " + found + ", the jar says " + expected,
                    Map.of("expected", expected, "found", found),
                    null);
        }
        MemoryFile memory;
        try {
            memory = MemoryFile.create("e2bridge");
        } catch (MemoryFile.RefusedException e) {
            throw memoryFileRefused(e.getMessage(), e.errno(), e);
        }
        try (FileOutputStream output = new FileOutputStream(memory.path())) {
            output.write(library);
        } catch (IOException e) {
            throw memoryFileRefused("it cannot be written through " + memory.path() + ": " + e.getMessage(), 0, e);
        }
        try {
            memory.seal();
        } catch (MemoryFile.RefusedException e) {
            throw memoryFileRefused(e.getMessage(), e.errno(), e);
        }
        loadFile(memory.path(), "the jar");
        return "jar";
    }

    @SuppressWarnings("restricted")
    private static void loadFile(String path, String origin) {
        try {
            System.load(path);
        } catch (UnsatisfiedLinkError e) {
            throw notLoadable(origin, String.valueOf(e.getMessage()), e);
        }
    }

    private static void checkVersion(String origin) {
        int expected = E2BridgeNative.E2B_ABI_VERSION();
        int found;
        try {
            found = E2BridgeNative.e2b_abi_version();
        } catch (LinkageError e) {
            if (e.getCause() instanceof IllegalCallerException denied) {
                throw denied;
            }
            throw failure(
                    E2BErrorCode.INTERNAL,
                    "the library from " + origin + " is not libe2bridge: it has no e2b_abi_version",
                    Map.of("origin", origin),
                    e);
        }
        if (found != expected) {
            throw failure(
                    E2BErrorCode.INTERNAL,
                    "the library from " + origin + " has ABI version " + found + ", these bindings need " + expected
                            + ": use the library and the jar of one release",
                    Map.of("origin", origin, "expected", expected, "found", found),
                    null);
        }
    }

    /** What the dynamic linker's words mean, where they have a remedy. */
    static E2BException notLoadable(String origin, String message, Throwable cause) {
        Map<String, String> context = Map.of("origin", origin, "detail", message);
        if (message.contains("GLIBC_")) {
            return failure(
                    E2BErrorCode.UNSUPPORTED,
                    "the C library of this host is older than the native library needs: " + message,
                    context,
                    cause);
        }
        if (message.contains("already loaded in another classloader")) {
            return failure(
                    E2BErrorCode.UNSUPPORTED,
                    "another class loader of this JVM has loaded " + origin
                            + ": leave -D" + PATH_PROPERTY + " out, or give each class loader a copy of the file",
                    context,
                    cause);
        }
        if (message.contains("failed to map segment")
                || message.contains("Operation not permitted")
                || message.contains("Permission denied")) {
            return failure(
                    E2BErrorCode.PERMISSION_DENIED,
                    "this host does not let the native library from " + origin + " be mapped for execution: " + message
                            + "; put it on a file system without noexec and name it with -D" + PATH_PROPERTY + "=FILE",
                    context,
                    cause);
        }
        if (message.contains("ELF") || message.contains("file too short") || message.contains("Possible cause: can't load")) {
            return failure(
                    E2BErrorCode.UNSUPPORTED,
                    "the native library from " + origin + " is not a shared library for linux on x86-64: " + message,
                    context,
                    cause);
        }
        return failure(
                E2BErrorCode.INTERNAL,
                "the native library from " + origin + " could not be loaded: " + message,
                context,
                cause);
    }

    private static E2BException memoryFileRefused(String reason, int errno, Throwable cause) {
        return failure(
                E2BErrorCode.UNSUPPORTED,
                "this host refuses the memory file that the native library is loaded from: " + reason
                        + "; unpack native/linux-x86_64/" + FILE_NAME + " from the jar and name it with -D" + PATH_PROPERTY
                        + "=FILE",
                errno == 0 ? Map.of() : Map.of("errno", errno),
                cause);
    }

    private static E2BException nativeAccessDenied(IllegalCallerException cause) {
        Module module = NativeLibraryLoader.class.getModule();
        String name = module.isNamed() ? module.getName() : "ALL-UNNAMED";
        return failure(
                E2BErrorCode.PERMISSION_DENIED,
                "this JVM denies native access to e2bridge: start java with --enable-native-access=" + name,
                Map.of("module", name),
                cause);
    }

    private static byte[] resource(String name) {
        try (InputStream input = NativeLibraryLoader.class.getResourceAsStream(name)) {
            if (input == null) {
                throw failure(
                        E2BErrorCode.NOT_FOUND,
                        "the jar has no " + name.substring(1) + ": it was built without the native library; name one with -D"
                                + PATH_PROPERTY + "=FILE",
                        Map.of("resource", name),
                        null);
            }
            return input.readAllBytes();
        } catch (IOException e) {
            throw failure(
                    E2BErrorCode.INTERNAL,
                    "the jar's " + name.substring(1) + " cannot be read: " + e.getMessage(),
                    Map.of("resource", name),
                    e);
        }
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }

    private static E2BException failure(E2BErrorCode code, String message, Map<String, ?> context, Throwable cause) {
        return new E2BException(code, message, null, context, cause);
    }
}
