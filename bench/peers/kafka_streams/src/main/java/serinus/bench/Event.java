package serinus.bench;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import org.apache.kafka.common.serialization.Deserializer;

/** What the aggregation needs of an event; Jackson's streaming parser skips the rest without making objects of it. */
record Event(long tsMs, boolean error, double latencyMs, double tokensOut, String finishReason) {

  static final class Json implements Deserializer<Event> {
    private final JsonFactory factory = new JsonFactory();

    @Override
    public Event deserialize(String topic, byte[] data) {
      try (JsonParser parser = factory.createParser(data)) {
        return read(parser);
      } catch (IOException broken) {
        throw new UncheckedIOException(broken);
      }
    }

    private static Event read(JsonParser parser) throws IOException {
      long tsMs = 0;
      boolean error = false;
      double latencyMs = Double.NaN;
      double tokensOut = Double.NaN;
      String finishReason = null;
      parser.nextToken();
      while (parser.nextToken() == JsonToken.FIELD_NAME) {
        String name = parser.currentName();
        JsonToken value = parser.nextToken();
        switch (name) {
          case "ts_ms" -> tsMs = parser.getLongValue();
          case "error" -> error = parser.getBooleanValue();
          case "latency_ms" -> latencyMs = value == JsonToken.VALUE_NULL ? Double.NaN : parser.getDoubleValue();
          case "values" -> {
            while (value != JsonToken.VALUE_NULL && parser.nextToken() == JsonToken.FIELD_NAME) {
              boolean wanted = parser.currentName().equals("tokens_out");
              parser.nextToken();
              tokensOut = wanted ? parser.getDoubleValue() : tokensOut;
            }
          }
          case "labels" -> {
            while (value != JsonToken.VALUE_NULL && parser.nextToken() == JsonToken.FIELD_NAME) {
              boolean wanted = parser.currentName().equals("finish_reason");
              parser.nextToken();
              finishReason = wanted ? parser.getText() : finishReason;
            }
          }
          default -> parser.skipChildren();
        }
      }
      return new Event(tsMs, error, latencyMs, tokensOut, finishReason);
    }
  }
}
