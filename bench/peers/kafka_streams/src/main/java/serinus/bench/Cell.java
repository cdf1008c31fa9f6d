package serinus.bench;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;

/** The sums of one key and pane. No histograms: Serinus keeps two. */
final class Cell {
  private static final int FIXED_BYTES = 6 * Long.BYTES + Integer.BYTES;

  long n;
  long errors;
  double latencySum;
  double latencySquares;
  double tokensSum;
  double tokensSquares;
  final Map<String, Long> labels = new HashMap<>(4);

  Cell add(Event event) {
    n++;
    if (event.error()) {
      errors++;
    }
    if (!Double.isNaN(event.latencyMs())) {
      latencySum += event.latencyMs();
      latencySquares += event.latencyMs() * event.latencyMs();
    }
    if (!Double.isNaN(event.tokensOut())) {
      tokensSum += event.tokensOut();
      tokensSquares += event.tokensOut() * event.tokensOut();
    }
    if (event.finishReason() != null) {
      labels.merge(event.finishReason(), 1L, Long::sum);
    }
    return this;
  }

  static Serde<Cell> serde() {
    return Serdes.serdeFrom((topic, cell) -> cell == null ? null : cell.encode(), (topic, data) -> decode(data));
  }

  private byte[] encode() {
    int size = FIXED_BYTES;
    byte[][] names = new byte[labels.size()][];
    int at = 0;
    for (String name : labels.keySet()) {
      names[at] = name.getBytes(StandardCharsets.UTF_8);
      size += Integer.BYTES + names[at++].length + Long.BYTES;
    }
    ByteBuffer out = ByteBuffer.allocate(size);
    out.putLong(n).putLong(errors).putDouble(latencySum).putDouble(latencySquares);
    out.putDouble(tokensSum).putDouble(tokensSquares).putInt(names.length);
    at = 0;
    for (long count : labels.values()) {
      out.putInt(names[at].length).put(names[at++]).putLong(count);
    }
    return out.array();
  }

  private static Cell decode(byte[] data) {
    if (data == null) {
      return null;
    }
    ByteBuffer in = ByteBuffer.wrap(data);
    Cell cell = new Cell();
    cell.n = in.getLong();
    cell.errors = in.getLong();
    cell.latencySum = in.getDouble();
    cell.latencySquares = in.getDouble();
    cell.tokensSum = in.getDouble();
    cell.tokensSquares = in.getDouble();
    for (int left = in.getInt(); left > 0; left--) {
      byte[] name = new byte[in.getInt()];
      in.get(name);
      cell.labels.put(new String(name, StandardCharsets.UTF_8), in.getLong());
    }
    return cell;
  }
}
