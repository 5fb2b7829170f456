package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.Objects;

/**
 * Answer of {@link E2B#terminateE2BSandbox}.
 *
 * @param json the document as it came
 */
public record SandboxTerminated(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxTerminated {
        Objects.requireNonNull(json, "json");
    }

    /** {@return identifier} */
    public String sandboxId() {
        return Fields.text(json, "sandbox_id");
    }

    /** {@return always {@code terminated}} */
    public String status() {
        return Fields.text(json, "status");
    }

    /** {@return true when programs were killed without their grace period, by request, or because it ended} */
    public boolean forced() {
        return Fields.flag(json, "forced");
    }

    /** {@return wall time of the call, milliseconds} */
    public double durationMs() {
        return Fields.number(json, "duration_ms");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
