package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.util.Objects;

/**
 * Limits in force for a sandbox.
 *
 * @param json the document as it came
 */
public record SandboxLimits(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxLimits {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the memory of all its processes and files together, MiB} */
    public int memoryMb() {
        return Fields.integer(json, "memory_mb");
    }

    /** {@return the processors' worth of time} */
    public int cpuCount() {
        return Fields.integer(json, "cpu_count");
    }

    /** {@return the size of all its writable files together, MiB} */
    public int diskMb() {
        return Fields.integer(json, "disk_mb");
    }

    /** {@return the processes and threads it may have at once} */
    public int processes() {
        return Fields.integer(json, "processes");
    }
}
