package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#listE2BSandboxes}.
 *
 * @param json the document as it came
 */
public record SandboxList(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public SandboxList {
        Objects.requireNonNull(json, "json");
    }

    /** {@return the sandboxes that match the filter, oldest first} */
    public List<SandboxSummary> sandboxes() {
        return Fields.objects(json, "sandboxes", SandboxSummary::new);
    }

    /** {@return number returned} */
    public int totalCount() {
        return Fields.integer(json, "total_count");
    }

    /** {@return when this was answered} */
    public Instant timestamp() {
        return Fields.time(json, "timestamp");
    }
}
