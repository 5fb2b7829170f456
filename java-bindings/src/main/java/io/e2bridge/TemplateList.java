package io.e2bridge;

import com.fasterxml.jackson.databind.JsonNode;
import io.e2bridge.internal.Fields;
import java.time.Instant;
import java.util.List;
import java.util.Objects;

/**
 * Answer of {@link E2B#listE2BTemplates}.
 *
 * @param json the document as it came
 */
public record TemplateList(JsonNode json) implements E2BDocument {
    /** Wraps a document, which must not be null. */
    public TemplateList {
        Objects.requireNonNull(json, "json");
    }

    /** {@return built-in ones first, then exported ones by name} */
    public List<TemplateSummary> templates() {
        return Fields.objects(json, "templates", TemplateSummary::new);
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
