package io.e2bridge;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/** A client of the local engine with a data directory of its own, for tests that need one. */
public final class Engine implements AutoCloseable {
    private static final AtomicInteger NAMES = new AtomicInteger();

    private final E2B client;
    private final Path directory;

    private Engine(E2B client, Path directory) {
        this.client = client;
        this.directory = directory;
    }

    /** Opens a client, or skips the test where the host cannot isolate. */
    public static Engine open() {
        return open(E2BConfig.builder());
    }

    /** Opens a client with settings, or skips the test where the host cannot isolate. */
    public static Engine open(E2BConfig.Builder settings) {
        try {
            Path directory = Files.createTempDirectory("e2bridge-test");
            try {
                return new Engine(E2B.open(settings.dataDirectory(directory).build()), directory);
            } catch (E2BException e) {
                delete(directory);
                if (e.code() == E2BErrorCode.ISOLATION_UNAVAILABLE || e.code() == E2BErrorCode.UNSUPPORTED) {
                    Host.require(false, "an engine: " + e.getMessage());
                }
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** {@return the client} */
    public E2B client() {
        return client;
    }

    /** {@return where its templates are} */
    public Path directory() {
        return directory;
    }

    /** {@return the id of a new sandbox from a template; the test is skipped when the host lacks the template's interpreter} */
    public String sandbox(String template) {
        for (TemplateSummary one : client.listE2BTemplates().templates()) {
            if (one.templateName().equals(template) && !one.available()) {
                Host.require(false, "template " + template + ": " + one.reason());
            }
        }
        return client.createE2BSandbox(name(), template, 120, 128, 1).sandboxId();
    }

    /** {@return a name that no other test has} */
    public static String name() {
        return "test-" + NAMES.incrementAndGet();
    }

    @Override
    public void close() {
        client.close();
        try {
            delete(directory);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Removes a directory. A call that was under way when its client was closed may still be putting something into it. */
    static void delete(Path directory) throws IOException {
        for (int tries = 0; tries < 100; tries++) {
            try {
                deleteTree(directory);
                return;
            } catch (DirectoryNotEmptyException | NoSuchFileException changing) {
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(10));
            }
        }
        deleteTree(directory);
    }

    private static void deleteTree(Path directory) throws IOException {
        if (Files.notExists(directory)) {
            return;
        }
        Files.walkFileTree(directory, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                Files.delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path one, IOException failure) throws IOException {
                Files.delete(one);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
