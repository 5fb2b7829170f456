package io.e2bridge.internal;

import io.e2bridge.E2B;
import io.e2bridge.E2BConfig;
import io.e2bridge.E2BException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Loads the library in a JVM of its own and prints what came of it. */
public final class LoaderProbe {
    private LoaderProbe() {}

    /**
     * Prints one line a use.
     *
     * @param arguments what to try
     */
    public static void main(String[] arguments) throws Exception {
        switch (arguments[0]) {
            case "load" -> {
                String signals = signals();
                print();
                print();
                System.out.println(signals.equals(signals()) ? "signals unchanged" : "signals changed: " + signals + " -> " + signals());
            }
            case "use" -> {
                // What the JVM does by itself when it first starts a process or a thread is done before.
                new ProcessBuilder("true").start().waitFor();
                String signals = signals();
                print();
                String loaded = signals();
                try (E2B e2b = E2B.open(E2BConfig.builder().dataDirectory(Path.of(arguments[1])).build())) {
                    String sandbox = e2b.createE2BSandbox("signals").sandboxId();
                    System.out.println(e2b.executeE2BProcess(sandbox, "kill -SEGV $$").signal());
                    System.out.println(e2b.runE2BCode(sandbox, "js", "1 + 1").result());
                } catch (E2BException e) {
                    System.out.println(e.code() + "|" + e.getMessage());
                }
                System.out.println(signals.equals(loaded) ? "unchanged by loading" : signals + " -> " + loaded);
                System.out.println(signals.equals(signals()) ? "unchanged by use" : signals + " -> " + signals());
            }
            case "memory" -> {
                print();
                memoryFile();
            }
            case "two" -> {
                print();
                twice();
            }
            case "check" -> {
                try {
                    System.out.println("OK " + E2B.check());
                } catch (E2BException e) {
                    System.out.println(e.code() + "|" + e.getMessage());
                }
            }
            default -> throw new IllegalArgumentException(arguments[0]);
        }
    }

    private static void print() {
        try {
            System.out.println("OK " + NativeLibraryLoader.ensureLoaded() + " " + NativeCalls.version().get("abi_version"));
        } catch (E2BException e) {
            System.out.println(e.code() + "|" + e.argument() + "|" + e.getMessage());
        }
    }

    /** The bindings once more, by another class loader. */
    private static void twice() throws Exception {
        List<URL> urls = new ArrayList<>();
        for (String entry : System.getProperty("java.class.path").split(":")) {
            urls.add(Path.of(entry).toUri().toURL());
        }
        try (URLClassLoader other = new URLClassLoader(urls.toArray(URL[]::new), ClassLoader.getPlatformClassLoader())) {
            other.loadClass(LoaderProbe.class.getName()).getMethod("main", String[].class).invoke(null, (Object) new String[] {"load"});
        }
    }

    private static void memoryFile() throws Exception {
        try (Stream<Path> descriptors = Files.list(Path.of("/proc/self/fd"))) {
            for (Path descriptor : descriptors.toList()) {
                if (!Files.exists(descriptor, java.nio.file.LinkOption.NOFOLLOW_LINKS)
                        || !Files.readSymbolicLink(descriptor).toString().startsWith("/memfd:e2bridge")) {
                    continue;
                }
                String flags = Files.readString(Path.of("/proc/self/fdinfo", descriptor.getFileName().toString()));
                System.out.println("flags " + flags.lines().filter(line -> line.startsWith("flags:")).findFirst().orElseThrow());
                try (FileChannel channel = FileChannel.open(descriptor, StandardOpenOption.WRITE)) {
                    channel.write(ByteBuffer.wrap(new byte[] {0}));
                    System.out.println("written");
                } catch (java.io.IOException e) {
                    System.out.println("sealed: " + e.getMessage());
                }
            }
        }
    }

    private static String signals() throws Exception {
        StringBuilder signals = new StringBuilder();
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("SigCgt") || line.startsWith("SigIgn")) {
                signals.append(line).append(' ');
            }
        }
        return signals.toString();
    }
}
