package io.e2bridge.bench;

import io.e2bridge.E2B;
import io.e2bridge.FileContent;
import io.e2bridge.FileWritten;
import io.e2bridge.ProcessResult;
import io.e2bridge.SandboxStatus;
import io.e2bridge.internal.NativeCalls;
import io.e2bridge.internal.abi.E2BridgeNative;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The way from Java to the library and back, by JMH: an empty call, and calls whose arguments and results grow. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@State(Scope.Thread)
public class Boundary {
    private static final int SMALL = 1 << 10;
    private static final int LARGE = 1 << 20;

    private E2B e2b;
    private String sandbox;
    private byte[] small;
    private byte[] large;

    /** A sandbox with a small and a large file. */
    @Setup(Level.Trial)
    public void open() {
        e2b = E2B.open();
        sandbox = e2b.createE2BSandbox("boundary").sandboxId();
        small = text(SMALL);
        large = text(LARGE);
        e2b.writeE2BFile(sandbox, "small", small);
        e2b.writeE2BFile(sandbox, "large", large);
    }

    private static byte[] text(int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) 'x');
        return bytes;
    }

    /** Ends it. */
    @TearDown(Level.Trial)
    public void close() {
        e2b.close();
    }

    /** {@return the number that the library answers} */
    @Benchmark
    public int emptyCall() {
        return E2BridgeNative.e2b_abi_version();
    }

    /** {@return a document of some bytes, without a client} */
    @Benchmark
    public Object smallestDocument() {
        return NativeCalls.version();
    }

    /** {@return the status of a live sandbox} */
    @Benchmark
    public SandboxStatus status() {
        return e2b.getE2BSandboxStatus(sandbox);
    }

    /** {@return a file written, 1 KiB} */
    @Benchmark
    public FileWritten argumentOf1KiB() {
        return e2b.writeE2BFile(sandbox, "written", small);
    }

    /** {@return a file written, 1 MiB} */
    @Benchmark
    public FileWritten argumentOf1MiB() {
        return e2b.writeE2BFile(sandbox, "written", large);
    }

    /** {@return a file read, 1 KiB} */
    @Benchmark
    public FileContent resultOf1KiB() {
        return e2b.readE2BFile(sandbox, "small");
    }

    /** {@return a file read, 1 MiB} */
    @Benchmark
    public FileContent resultOf1MiB() {
        return e2b.readE2BFile(sandbox, "large");
    }

    /** {@return a program's output, 1 MiB} */
    @Benchmark
    public ProcessResult outputOf1MiB() {
        return e2b.executeE2BProcess(sandbox, "/bin/cat", List.of("large"));
    }
}
