package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * Live figures of a sandbox. A figure that the mechanism in force cannot tell is null.
 *
 * @param json the document as it came
 */
public record SandboxMetrics(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxMetrics {
        Objects.requireNonNull(json, "json");
    }

    /** {@return processor time used since start, seconds; null when unknown} */
    public Double cpuSeconds() {
        return Fields.optionalNumber(json, "cpu_seconds");
    }

    /** {@return processor use since the sample before, percent of one processor; null when unknown} */
    public Double cpuPercent() {
        return Fields.optionalNumber(json, "cpu_percent");
    }

    /**
     * {@return memory in use, bytes: what the cgroup is charged with; without one, anonymous memory of its processes, where a page
     * that forks still share counts for each of them, and without the files that {@link #diskUsedBytes()} counts; null when unknown}
     */
    public Long memoryBytes() {
        return Fields.optionalWhole(json, "memory_bytes");
    }

    /** {@return highest memory use, bytes; null when unknown} */
    public Long memoryPeakBytes() {
        return Fields.optionalWhole(json, "memory_peak_bytes");
    }

    /** {@return memory limit, bytes} */
    public long memoryLimitBytes() {
        return Fields.whole(json, "memory_limit_bytes");
    }

    /** {@return processes and threads alive, the sandbox's init included; null when unknown} */
    public Long processes() {
        return Fields.optionalWhole(json, "processes");
    }

    /** {@return bytes of writable files; null when unknown} */
    public Long diskUsedBytes() {
        return Fields.optionalWhole(json, "disk_used_bytes");
    }

    /** {@return limit of the writable files, bytes} */
    public long diskLimitBytes() {
        return Fields.whole(json, "disk_limit_bytes");
    }

    /** {@return seconds since the hand-out} */
    public double uptimeSeconds() {
        return Fields.number(json, "uptime_seconds");
    }

    /** {@return seconds until the deadline; 0 when ended} */
    public double remainingSeconds() {
        return Fields.number(json, "remaining_seconds");
    }

    /** {@return executions and code runs that have ended} */
    public long executions() {
        return Fields.whole(json, "executions");
    }
}
