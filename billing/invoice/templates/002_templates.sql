-- Texts and layout of invoices. A change is a new version; what was issued keeps its own.
insert into billing.invoice_template (class, language, version, document) values
('default', 'en', 1, $json${
  "rtl": false, "font": "Noto Sans", "accent": "#0b5c8a", "tint": "#e8f1f6", "bar": "#8fbcd4", "bar_now": "#0b5c8a",
  "thousands": ",", "point": ".", "money": "{symbol}{amount}", "date": "{d} {mon} {y}",
  "months": ["Jan","Feb","Mar","Apr","May","Jun","Jul","Aug","Sep","Oct","Nov","Dec"],
  "text": {
    "invoice": "Invoice", "credit_note": "Credit note", "number": "Number", "issued": "Issued", "period": "Period",
    "days": "days", "account": "Account", "contract": "Contract", "tariff": "Tariff", "service_point": "Supply point",
    "amount_due": "Amount due", "due": "Pay by", "supply_address": "Supply address", "tax_id": "Tax ID",
    "description": "Description", "quantity": "Quantity", "price": "Price", "amount": "Amount",
    "net": "Net amount", "tax": "Taxes and levies", "total": "Total", "credit": "Your credit", "to_pay": "To pay",
    "meter": "Meter", "from": "From", "until": "Until", "reading": "Reading", "multiplier": "Factor",
    "use": "Your use", "history": "Use per period", "daily": "Use per day", "part": "Tariff version",
    "measured": "measured", "estimated": "estimated", "mixed": "partly estimated",
    "payment": "How to pay", "payee": "Payee", "bank": "Bank", "bank_account": "Account no.", "iban": "IBAN",
    "bic": "BIC", "reference": "Reference", "scan": "Scan with your bank's app", "phone": "Phone", "page": "Page",
    "corrects": "Corrects invoice", "reason": "Reason", "nothing_due": "Nothing to pay",
    "tier": "tier", "peak": "peak", "offpeak": "off-peak", "normal": "standard hours", "shoulder": "shoulder",
    "electricity": "Electricity", "water": "Water", "gas": "Gas", "heat": "Heat"
  }}$json$),
('default', 'vi', 1, $json${
  "rtl": false, "font": "Noto Sans", "accent": "#0b5c8a", "tint": "#e8f1f6", "bar": "#8fbcd4", "bar_now": "#0b5c8a",
  "thousands": ".", "point": ",", "money": "{amount} {symbol}", "date": "{dd}/{mm}/{y}",
  "months": ["T1","T2","T3","T4","T5","T6","T7","T8","T9","T10","T11","T12"],
  "text": {
    "invoice": "Hóa đơn", "credit_note": "Hóa đơn điều chỉnh giảm", "number": "Số hóa đơn", "issued": "Ngày lập",
    "period": "Kỳ hóa đơn", "days": "ngày", "account": "Mã khách hàng", "contract": "Hợp đồng", "tariff": "Biểu giá",
    "service_point": "Điểm đo", "amount_due": "Số tiền phải thanh toán", "due": "Hạn thanh toán",
    "supply_address": "Địa chỉ sử dụng", "tax_id": "Mã số thuế",
    "description": "Nội dung", "quantity": "Sản lượng", "price": "Đơn giá", "amount": "Thành tiền",
    "net": "Cộng tiền trước thuế", "tax": "Thuế và phí", "total": "Tổng cộng", "credit": "Số dư có của quý khách",
    "to_pay": "Còn phải trả",
    "meter": "Công tơ", "from": "Từ ngày", "until": "Đến ngày", "reading": "Chỉ số", "multiplier": "Hệ số",
    "use": "Mức tiêu thụ của quý khách", "history": "Tiêu thụ theo kỳ", "daily": "Tiêu thụ theo ngày",
    "part": "Biểu giá phiên bản", "measured": "đo được", "estimated": "tạm tính", "mixed": "tạm tính một phần",
    "payment": "Cách thanh toán", "payee": "Đơn vị thụ hưởng", "bank": "Ngân hàng", "bank_account": "Số tài khoản",
    "iban": "IBAN", "bic": "BIC", "reference": "Nội dung chuyển khoản",
    "scan": "Quét mã bằng ứng dụng ngân hàng", "phone": "Điện thoại", "page": "Trang",
    "corrects": "Điều chỉnh cho hóa đơn", "reason": "Lý do", "nothing_due": "Không phải thanh toán",
    "tier": "bậc", "peak": "giờ cao điểm", "offpeak": "giờ thấp điểm", "normal": "giờ bình thường", "shoulder": "giờ trung bình",
    "electricity": "Tiền điện", "water": "Tiền nước", "gas": "Tiền gas", "heat": "Tiền nhiệt"
  }}$json$),
('default', 'ar', 1, $json${
  "rtl": true, "font": "Noto Sans, Noto Sans Arabic", "accent": "#0b5c8a", "tint": "#e8f1f6", "bar": "#8fbcd4",
  "bar_now": "#0b5c8a", "thousands": ",", "point": ".", "money": "{amount} {symbol}", "date": "{dd}/{mm}/{y}",
  "months": ["1","2","3","4","5","6","7","8","9","10","11","12"],
  "text": {
    "invoice": "فاتورة", "credit_note": "إشعار دائن", "number": "الرقم", "issued": "تاريخ الإصدار", "period": "الفترة",
    "days": "يوم", "account": "رقم الحساب", "contract": "العقد", "tariff": "التعرفة", "service_point": "نقطة التزويد",
    "amount_due": "المبلغ المستحق", "due": "تاريخ الاستحقاق", "supply_address": "عنوان التزويد",
    "tax_id": "الرقم الضريبي", "description": "الوصف", "quantity": "الكمية", "price": "السعر", "amount": "المبلغ",
    "net": "المبلغ قبل الضريبة", "tax": "الضرائب والرسوم", "total": "الإجمالي", "credit": "رصيدكم الدائن",
    "to_pay": "المطلوب دفعه", "meter": "العداد", "from": "من", "until": "إلى", "reading": "القراءة",
    "multiplier": "المعامل", "use": "استهلاككم", "history": "الاستهلاك لكل فترة", "daily": "الاستهلاك اليومي",
    "part": "إصدار التعرفة", "measured": "مقاس", "estimated": "مقدر", "mixed": "مقدر جزئيا",
    "payment": "طريقة الدفع", "payee": "المستفيد", "bank": "البنك", "bank_account": "رقم الحساب المصرفي",
    "iban": "IBAN", "bic": "BIC", "reference": "المرجع", "scan": "امسح الرمز بتطبيق البنك", "phone": "الهاتف",
    "page": "صفحة", "corrects": "تصحيح للفاتورة", "reason": "السبب", "nothing_due": "لا يوجد مبلغ مستحق",
    "tier": "شريحة", "peak": "ذروة", "offpeak": "خارج الذروة", "normal": "عادي", "shoulder": "متوسط",
    "electricity": "كهرباء", "water": "مياه", "gas": "غاز", "heat": "تدفئة"
  }}$json$);
