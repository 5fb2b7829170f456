package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#setE2BTimeout}.
 *
 * @param json the document as it came
 */
public record TimeoutSet(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public TimeoutSet {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return seconds from now} */
    public int timeout() {
        return Fields.integer(json, "timeout");
    }

    /** {@return the new deadline} */
    public Instant expiresAt() {
        return Fields.time(json, "expires_at");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
