package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#writeE2BFile}.
 *
 * @param json the document as it came
 */
public record FileWritten(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public FileWritten {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the sandbox it was written to} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return absolute path inside} */
    public String path() {
        return Fields.text(json, "path");
    }

    /** {@return bytes written} */
    public long size() {
        return Fields.whole(json, "size");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
